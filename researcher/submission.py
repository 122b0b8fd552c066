"""From what a researcher asks for to frozen terms: noise calibrated to the promise, digests over everything."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from datasites.protocol.weight_messages import MAXIMUM_PARAMETER_BYTES
from datasites.tensor_programs.load import flatten, load_parameters
from policies.budget.calibrate import calibrate_noise_multiplier
from policies.errors import InvalidInputError
from policies.programs.digests import parameters_digest, source_digest
from policies.programs.tokeniser import Tokens
from policies.statements.schema import describe_validation_error
from policies.terms import (
    CohortMember,
    Deadlines,
    Evaluation,
    Histogram,
    Privacy,
    Programs,
    SecureAveraging,
    Terms,
    Training,
)
from policies.training_choices import Optimizer, Schedule, Sgd
from researcher.catalog import DataSet
from researcher.export import ExportedPlan
from researcher.state import State
from researcher.stopping import EarlyStopping, check_early_stopping

_SECURE_AVERAGING = SecureAveraging(minimum_cohort=3, colluders=1, bits=20, update_range=4.0)
_OPTIMIZER = Sgd(momentum=0.0)
_SCHEDULE = Schedule(type="constant", warm_up_steps=0)
_DEADLINES = Deadlines(setup_seconds=120, round_seconds=300)


@dataclass(frozen=True)
class Ask:
    """What a study asks of its sites. Numbers that bear on privacy are public and the same everywhere.

    `sampling_rate` is the probability with which each unit is drawn in a step; `evaluate` lists the global models that
    are measured on holdout units (0 is the initial one, `rounds` the final one): the fewer, the less noise on each.
    `histogram_bins` is in how many bins the plan's scores are counted: the more, the finer, and the more noise in all.
    `retries` is how many rounds a site may compute again if it stopped in the middle: each costs as much as a round.
    `schedule` says how the learning rate goes over all `rounds` × `local_steps` of a site; `optimizer` starts anew in
    each round.
    `early_stopping` ends the study when a noised figure does not grow any more, and returns what is left of the budget.
    `supersedes` is the `terms.digest()` of an earlier study of one's own that this one replaces, before it runs.
    Without `privacy` no noise is added and no guarantee is given: only sites whose owners allow that approve it.
    """

    title: str
    purpose: str
    legal_basis: str
    recipients: str
    onward_use: str
    privacy: Privacy | None
    rounds: int
    evaluate: tuple[int, ...]
    histogram_bins: int = 10
    local_steps: int = 1
    retries: int = 1
    sampling_rate: float = 0.5
    learning_rate: float = 0.5
    optimizer: Optimizer = _OPTIMIZER
    schedule: Schedule = _SCHEDULE
    clipping_norm: float = 1.0
    secure_averaging: SecureAveraging = _SECURE_AVERAGING
    deadlines: Deadlines = _DEADLINES
    valid_days: float = 30.0
    early_stopping: EarlyStopping | None = None
    supersedes: str | None = None


def draft_terms(
    researcher: str, exported: ExportedPlan, data_sets: Sequence[DataSet], ask: Ask, tokens: Tokens | None = None
) -> Terms:
    """Fix the terms of a study, with the least noise that keeps the promised (ε, δ), if one is, for every unit.

    Args:
        tokens: how the study reads texts, where it is one on texts.

    Raises:
        InvalidInputError: saying which number is wrong.
    """
    steps = (ask.rounds + ask.retries) * ask.local_steps
    measurements = len(ask.evaluate) + ask.retries if ask.evaluate else 1
    try:
        terms = Terms(
            version="cloister-terms/1",
            study=secrets.token_hex(16),
            title=ask.title,
            researcher=researcher,
            purpose=ask.purpose,
            legal_basis=ask.legal_basis,
            recipients=ask.recipients,
            onward_use=ask.onward_use,
            supersedes=ask.supersedes,
            cohort=tuple(
                CohortMember(
                    site=it.site.party,
                    data_set=it.name,
                    weight=1,
                    training_units=it.manifest.training_units,
                    holdout_units=it.manifest.holdout_units,
                )
                for it in data_sets
            ),
            programs=Programs(
                loss=exported.loss.digest(),
                metrics=exported.metrics.digest(),
                initial_parameters=parameters_digest(exported.parameters),
                source=source_digest(exported.source),
                parameter_count=exported.parameter_count,
                tokens=tokens,
            ),
            training=Training(
                strategy="fedavg",
                rounds=ask.rounds,
                local_steps=ask.local_steps,
                retries=ask.retries,
                sampling_rate=ask.sampling_rate,
                noise_multiplier=_noise_multiplier(ask.privacy, ask.sampling_rate, steps),
                clipping_norm=ask.clipping_norm,
                learning_rate=ask.learning_rate,
                optimizer=ask.optimizer,
                schedule=ask.schedule,
            ),
            evaluation=Evaluation(
                models=ask.evaluate,
                metrics=exported.measured.metrics,
                histograms=tuple(Histogram(name=name, bins=ask.histogram_bins) for name in exported.measured.scores),
                noise_multiplier=_noise_multiplier(ask.privacy, 1.0, measurements),
            ),
            secure_averaging=ask.secure_averaging,
            privacy=ask.privacy,
            deadlines=ask.deadlines,
            expires_at=int(time.time() + ask.valid_days * 86_400),
        )
    except ValidationError as error:
        raise InvalidInputError(f"The study's terms are not valid: {describe_validation_error(error)}.") from error
    if ask.early_stopping is not None:
        check_early_stopping(ask.early_stopping, terms)
    return terms


def _noise_multiplier(privacy: Privacy | None, sampling_rate: float, steps: int) -> float:
    if privacy is None:
        return 0.0
    return calibrate_noise_multiplier(privacy.epsilon, privacy.delta, sampling_rate, steps)


def keep_study(
    state: State,
    terms: Terms,
    exported: ExportedPlan,
    early_stopping: EarlyStopping | None,
    tokeniser: bytes | None,
) -> None:
    """Keep a new study, when to stop it, its initial global model and its tokeniser, before anything is sent."""
    values = load_parameters(exported.parameters, exported.loss, maximum_bytes=MAXIMUM_PARAMETER_BYTES)
    model = flatten(values, exported.loss).numpy().astype("<f4").tobytes()
    state.add_study(
        terms.study,
        {
            "terms": terms.canonical().decode(),
            "loss_program": exported.loss.canonical().decode(),
            "metrics_program": exported.metrics.canonical().decode(),
            "source": exported.source,
        },
        exported.parameters,
        model,
        tokeniser,
        None if early_stopping is None else early_stopping.canonical().decode(),
    )
