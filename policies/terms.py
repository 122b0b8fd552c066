"""Terms: what a study asks for and an approval grants; the same for its whole cohort, frozen, with one digest."""

from functools import lru_cache
from math import sqrt
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.manifest import MAXIMUM_NOMINAL_UNITS
from policies.programs.tokeniser import Tokens
from policies.statements.digests import digest
from policies.statements.schema import Digest, Name, PartyId, StrictModel, Text
from policies.training_choices import Optimizer, Schedule

MAXIMUM_TERMS_BYTES = 256 * 1024
_MOST_MASK_KEYS = 14_000
_LEAST_NOISE_MULTIPLIER = 0.1
_MOST_METRICS, _MOST_HISTOGRAMS, _MOST_BINS = 64, 8, 1000

MAXIMUM_COUNTS = 2 * (_MOST_METRICS + _MOST_HISTOGRAMS * _MOST_BINS)
"""Most numbers that one measurement gives."""

NoiseMultiplier = Annotated[float, Field(ge=0, le=1e6)]
"""σ, the noise's standard deviation over the sensitivity: at least 0.1, or 0 where the terms promise no privacy."""


class CohortMember(StrictModel):
    """One site of the cohort, the data set it is asked to train on, and its public integer weight in the average.

    The numbers of units are those of the data set's manifest; a site refuses terms that give others of its own.
    """

    site: PartyId
    data_set: Name
    weight: Annotated[int, Field(ge=1, le=16)]
    training_units: Annotated[int, Field(ge=1, le=MAXIMUM_NOMINAL_UNITS)]
    holdout_units: Annotated[int, Field(ge=0, le=MAXIMUM_NOMINAL_UNITS)]


class Programs(StrictModel):
    """Digests of everything the study brings along, so that the digest of the terms covers it.

    `tokens` is how it reads texts, where it is one on texts.
    """

    loss: Digest
    metrics: Digest
    initial_parameters: Digest
    source: Digest
    parameter_count: Annotated[int, Field(ge=1, le=50_000_000)]
    tokens: Tokens | None


class Training(StrictModel):
    """DP-SGD at each site (Abadi et al. 2016): every number is public and fixed before the data is touched.

    The divisor of a step is `sampling_rate` × the site's `training_units`. `retries` is how many
    rounds a site may compute once more, with fresh noise and another charge, because it stopped in the middle of them.
    Without a privacy guarantee the noise multiplier is 0; units are sampled and clipped all the same. The optimiser
    sees noised gradients only; its `learning_rate` follows the `schedule` over all rounds × local steps.
    """

    strategy: Literal["fedavg"]
    rounds: Annotated[int, Field(ge=1, le=10_000)]
    local_steps: Annotated[int, Field(ge=1, le=10_000)]
    retries: Annotated[int, Field(ge=0, le=100)]
    sampling_rate: Annotated[float, Field(ge=1e-6, le=1)]
    noise_multiplier: NoiseMultiplier
    clipping_norm: Annotated[float, Field(ge=1e-6, le=1e6)]
    learning_rate: Annotated[float, Field(gt=0, le=1e3)]
    optimizer: Optimizer
    schedule: Schedule

    @model_validator(mode="after")
    def _warms_up_within_the_study(self) -> Self:
        if self.schedule.warm_up_steps >= self.rounds * self.local_steps:
            raise ValueError("schedule.warm_up_steps must be less than rounds × local_steps")
        return self

    def learning_rates(self, round_number: int) -> tuple[float, ...]:
        """The learning rate of each local step of round `round_number` (from 1)."""
        first, steps = (round_number - 1) * self.local_steps, self.rounds * self.local_steps
        return tuple(self.learning_rate * self.schedule.factor(first + it, steps) for it in range(self.local_steps))


def score_outputs(name: str) -> tuple[str, str]:
    """What the metrics program calls the score that has this name, and its label."""
    return f"{name}_score", f"{name}_label"


class Histogram(StrictModel):
    """A score in [0, 1], counted in `bins` equal bins, apart for records labelled 0 and 1: for AUROC and calibration.

    The metrics program gives it as two outputs, `NAME_score` and `NAME_label`.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,56}$")]
    bins: Annotated[int, Field(ge=2, le=_MOST_BINS)]

    @property
    def outputs(self) -> tuple[str, str]:
        """What the metrics program calls its score and its label."""
        return score_outputs(self.name)


class Evaluation(StrictModel):
    """What is measured on holdout units, of which global models (0 is the initial one), and under what noise.

    A unit contributes v and 1 − v for each metric v in [0, 1], and to each histogram a vector of non-negative numbers
    that sum to 1. Each of these is at most 1 long, so the L2 sensitivity of all is √(metrics + histograms).
    """

    models: Annotated[tuple[Annotated[int, Field(ge=0, le=10_000)], ...], Field(max_length=10_001)]
    metrics: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")], ...],
        Field(min_length=1, max_length=_MOST_METRICS),
    ]
    histograms: Annotated[tuple[Histogram, ...], Field(max_length=_MOST_HISTOGRAMS)]
    noise_multiplier: NoiseMultiplier

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        figures = [*self.metrics, *(it.name for it in self.histograms)]
        if len(set(figures)) != len(figures) or len(set(self.outputs)) != len(self.outputs):
            raise ValueError("metrics and histograms, and the outputs that they are made from, need distinct names")
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """The results of the metrics program, in its order: the metrics, then each histogram's score and label."""
        return (*self.metrics, *(output for it in self.histograms for output in it.outputs))

    @property
    def counts(self) -> int:
        """How many numbers one measurement gives: two a metric, two a bin of each histogram."""
        return 2 * (len(self.metrics) + sum(it.bins for it in self.histograms))

    @property
    def noise_deviation(self) -> float:
        """The standard deviation of the noise that one site adds to each of these numbers."""
        return self.noise_multiplier * sqrt(len(self.metrics) + len(self.histograms))


class SecureAveraging(StrictModel):
    """n-of-n secure averaging (Bonawitz et al. 2017): smallest cohort, colluders withstood, quantiser."""

    minimum_cohort: Annotated[int, Field(ge=2, le=100)]
    colluders: Annotated[int, Field(ge=0, le=98)]
    bits: Annotated[int, Field(ge=8, le=20)]
    update_range: Annotated[float, Field(ge=1e-9, le=1e6)]

    @property
    def honest(self) -> int:
        """How many honest sites hide each other in a sum, from whoever sees it.

        One that colludes with nobody, but looks, knows its own part: it counts as a colluder.
        """
        return self.minimum_cohort - max(1, self.colluders)


class Privacy(StrictModel):
    """What the study promises each site's units: (ε, δ)-differential privacy against everybody outside that site."""

    epsilon: Annotated[float, Field(gt=0, le=100)]
    delta: Annotated[float, Field(gt=0, le=1e-6)]


class Deadlines(StrictModel):
    """Seconds that a site or the coordinator waits in a phase before it ends the round and names who is missing."""

    setup_seconds: Annotated[int, Field(ge=1, le=604_800)]
    round_seconds: Annotated[int, Field(ge=1, le=604_800)]


class Terms(StrictModel):
    """A study's terms. Every approver signs `digest()`, so nothing in here can differ between sites or change later.

    `supersedes` is the digest of the terms of an earlier study of the same researcher, which this one replaces.
    Without `privacy` the study is *unbounded*: no noise is added, nothing is charged, and nothing bounds what one
    person's records leave in the model.
    """

    version: Literal["cloister-terms/1"]
    study: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    title: Annotated[Text, StringConstraints(max_length=200, pattern=r"^[^\n\t]*$")]
    researcher: PartyId
    purpose: Text
    legal_basis: Text
    recipients: Text
    onward_use: Text
    supersedes: Digest | None
    cohort: Annotated[tuple[CohortMember, ...], Field(min_length=2, max_length=100)]
    programs: Programs
    training: Training
    evaluation: Evaluation
    secure_averaging: SecureAveraging
    privacy: Privacy | None
    deadlines: Deadlines
    expires_at: Annotated[int, Field(ge=0, le=2**33, description="seconds since 1970, UTC")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sites = [member.site for member in self.cohort]
        averaging = self.secure_averaging
        if len(set(sites)) != len(sites):
            raise ValueError("the cohort names a site twice; each site takes part once")
        if averaging.minimum_cohort < averaging.colluders + 2:
            raise ValueError("minimum_cohort must be at least colluders + 2, or a sum could show one honest site")
        if len(sites) < averaging.minimum_cohort:
            raise ValueError(
                f"the cohort has {len(sites)} sites and minimum_cohort asks for {averaging.minimum_cohort}"
            )
        total_weight = sum(member.weight for member in self.cohort)
        if total_weight << (averaging.bits - 1) >= 2**31:
            raise ValueError("weights × 2^(bits − 1) must stay below 2³¹, or sums could wrap; lower bits or weights")
        if len(sites) * self.sums > _MOST_MASK_KEYS:
            raise ValueError(f"sites × rounds must stay at {_MOST_MASK_KEYS} or below, or no roster could be sent")
        noise = (self.training.noise_multiplier, self.evaluation.noise_multiplier)
        if self.privacy is None and noise != (0, 0):
            raise ValueError("without a privacy guarantee both noise multipliers are 0")
        if self.privacy is not None and min(noise) < _LEAST_NOISE_MULTIPLIER:
            raise ValueError(f"a privacy guarantee takes noise multipliers of at least {_LEAST_NOISE_MULTIPLIER}")
        models = self.evaluation.models
        if list(models) != sorted(set(models)) or (models and models[-1] > self.training.rounds):
            raise ValueError("evaluation.models must rise strictly and end at the number of rounds or before")
        return self

    def digest(self) -> str:
        """The digest that requests, approvals, charges and rounds refer to."""
        return _digest(self)

    def member(self, site: str) -> CohortMember | None:
        """This cohort's entry for `site`, or None where the terms do not name it."""
        return next((member for member in self.cohort if member.site == site), None)

    @property
    def sums(self) -> int:
        """How many sums are opened: one a training round, and one more if the final model is evaluated."""
        return self.training.rounds + (1 if self.training.rounds in self.evaluation.models else 0)

    def trains_in(self, round_number: int) -> bool:
        """Whether round `round_number` (from 1) trains; the one after the last training round only evaluates."""
        return round_number <= self.training.rounds

    def evaluates_in(self, round_number: int) -> bool:
        """Whether round `round_number` measures the global model it starts from (model `round_number` − 1)."""
        return round_number - 1 in self.evaluation.models


@lru_cache(maxsize=256)
def _digest(terms: Terms) -> str:
    # By value: a copy with a change has another digest.
    return digest("terms", terms.canonical())
