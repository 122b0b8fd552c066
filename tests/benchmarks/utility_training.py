"""One training in the benchmark of utility: alone, federated or pooled; with the product's own code, in one process.

Program, noise, local training, quantiser, sum and average are the product's. Left out are the relay and the masks,
which change no sum: other tests show that. «No privacy» is the benchmark's own: the product has no such option.
«Distributed» is federated training with less noise: its ε holds for every site's people as long as two of the three
sites are honest, and what it promises whoever colludes is more (`Choice.promised`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap

from datasites.protocol.identity import Identity
from datasites.protocol.messages import Allowance
from datasites.secure_averaging.layout import decode, quantised_blocks
from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import flatten, load_parameters, unflatten
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from datasites.training.prepared import PreparedProgram, prepare_program
from datasites.training.trainer import local_training
from policies.budget.distributed_noise import honest_epsilon
from policies.manifest import Manifest
from policies.terms import Privacy, SecureAveraging, Terms
from researcher import Ask
from researcher.catalog import DataSet
from researcher.export import ExportedPlan, export
from researcher.strategies.fedavg import federated_average
from researcher.submission import draft_terms
from tests.benchmarks.utility_data import Site, Split
from tests.benchmarks.utility_plans import PLANS
from tests.record_forms import columns

Setting = Literal["alone", "federated", "distributed", "pooled"]
DELTA = 1e-6
_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Choice:
    """A model and how it is trained: public choices, the same for every salt.

    `promised` is the ε whoever colludes that the terms ask noise for, where it is not the cell's.
    """

    plan: str
    rounds: int
    local_steps: int
    sampling_rate: float
    learning_rate: float
    clipping_norm: float = 1.0
    update_range: float = 4.0
    promised: float | None = None


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A plan exported for a data set, checked and interpreted as at a site, and terms for three sites."""

    loss: PreparedProgram
    trained: TrainedLoss
    metrics: PreparedProgram
    initial: Tensor
    terms: Terms


def accuracy(split: Split, setting: Setting, choice: Choice, epsilon: float | None) -> float:
    """Train and measure exactly on the split's records of no site; `epsilon` None is without privacy.

    Alone is the mean over the sites, each by itself.
    """
    torch.set_num_threads(1)
    prepared = _prepare(choice, epsilon, _documents(split))
    if setting == "alone":
        trained = [_at_one_place(prepared, site, choice, epsilon) for site in split.sites.values()]
    elif setting == "pooled":
        trained = [_at_one_place(prepared, split.pooled, choice, epsilon)]
    else:
        trained = [_federated(prepared, split.sites, choice, epsilon)]
    return mean(_accuracy(prepared, model, split) for model in trained)


def _at_one_place(prepared: _Prepared, site: Site, choice: Choice, epsilon: float | None) -> Tensor:
    model = prepared.initial
    for number in range(1, choice.rounds + 1):
        model = (model + _update(prepared, model, number, site, choice, epsilon)).float()
    return model


def _federated(prepared: _Prepared, sites: Mapping[str, Site], choice: Choice, epsilon: float | None) -> Tensor:
    """Rounds as the product's coordinator sees them: one vector a site, added modulo 2³², opened, averaged."""
    model = prepared.initial.numpy().copy()
    for number in range(1, choice.rounds + 1):
        total = np.zeros(len(model), np.uint32)
        for site, member in zip(sites.values(), prepared.terms.cohort, strict=True):
            update = _update(prepared, torch.from_numpy(model), number, site, choice, epsilon).numpy()
            total += _vector(prepared.terms, number, update, member.weight)
        opened = decode(prepared.terms, number, total).update
        assert opened is not None
        federated_average(model, opened)
    return torch.from_numpy(model)


def _vector(terms: Terms, number: int, update: NDArray[np.float64], weight: int) -> NDArray[np.uint32]:
    return np.concatenate([block.copy() for block in quantised_blocks(terms, number, [update], None, weight)])


def _update(
    prepared: _Prepared, model: Tensor, number: int, site: Site, choice: Choice, epsilon: float | None
) -> Tensor:
    if epsilon is None:
        return _without_privacy(prepared.loss, model, site, choice)
    training, nominal = prepared.terms.training, site.nominal_units
    return local_training(prepared.trained, model, site.units, training, nominal, number)


def _without_privacy(loss: PreparedProgram, model: Tensor, site: Site, choice: Choice) -> Tensor:
    """Plain gradient descent: every step on the mean gradient over all records, neither clipped nor noised."""
    everybody = site.units.chunk(torch.arange(len(site.units)), len(site.units))
    values = {name: value.clone() for name, value in unflatten(model, loss.program).items()}
    gradient = grad(lambda trained: _mean_loss(loss, trained, everybody))
    for _ in range(choice.local_steps):
        for name, slope in gradient(values).items():
            values[name] = values[name] - choice.learning_rate * slope
    return flatten(values, loss.program) - model


def _mean_loss(loss: PreparedProgram, trained: Mapping[str, Tensor], data: UnitData) -> Tensor:
    on_records = vmap(interpret(loss.program), in_dims=(None, 0, 0))
    return on_records({**loss.constants, **trained}, data.features[:, 0], data.target[:, 0])[0].mean()


def _accuracy(prepared: _Prepared, model: Tensor, split: Split) -> float:
    metrics = prepared.metrics
    values = {**metrics.constants, **unflatten(model, metrics.program)}
    (right,) = metrics.forward(values, (split.features, split.target))
    return float(right.double().mean())


def _prepare(choice: Choice, epsilon: float | None, manifests: tuple[bytes, ...]) -> _Prepared:
    loss, metrics, initial, _ = _programs(choice.plan, manifests[0])
    terms = _terms(choice, choice.promised or epsilon, manifests)
    return _Prepared(loss, TrainedLoss(loss, _MEMORY_BYTES, "automatic"), metrics, initial, terms)


@cache
def _programs(plan: str, manifest_json: bytes) -> tuple[PreparedProgram, PreparedProgram, Tensor, ExportedPlan]:
    """Both programs, ready as at a site, and the initial parameters; once for all salts."""
    manifest = Manifest.model_validate_json(manifest_json)
    exported = export(PLANS[plan](), columns(manifest.feature_shape[0], "int64", _categories(manifest)))
    values = load_parameters(exported.parameters, exported.loss, maximum_bytes=_MEMORY_BYTES)
    return (
        prepare_program(exported.loss, kind="loss", values=values, memory_bytes=_MEMORY_BYTES),
        prepare_program(exported.metrics, kind="metrics", values=values, memory_bytes=_MEMORY_BYTES),
        flatten(values, exported.loss),
        exported,
    )


def terms_of(choice: Choice, epsilon: float | None, split: Split) -> Terms:
    """The terms under which `choice` trains on `split`'s sites, as the product drafts them for (`epsilon`, δ)."""
    return _terms(choice, epsilon, _documents(split))


def honest_figure(choice: Choice, split: Split) -> float:
    """The ε of the people of whichever site it is largest for, if no more sites collude than the terms count on."""
    terms = terms_of(choice, choice.promised, split)
    figures = [honest_epsilon(terms, member.site) for member in terms.cohort]
    return max(figure for figure in figures if figure is not None)


def _documents(split: Split) -> tuple[bytes, ...]:
    return tuple(manifest.canonical() for manifest in split.manifests)


@cache
def _terms(choice: Choice, epsilon: float | None, manifests: tuple[bytes, ...]) -> Terms:
    """Terms with the product's noise; without privacy they fix the layout only, and their noise is not used."""
    ask = Ask(
        title="Utility",
        purpose="A benchmark",
        legal_basis="Consent.",
        recipients="Everybody",
        onward_use="None",
        privacy=Privacy(epsilon=8.0 if epsilon is None else epsilon, delta=DELTA),
        rounds=choice.rounds,
        evaluate=(),
        local_steps=choice.local_steps,
        retries=0,
        sampling_rate=choice.sampling_rate,
        learning_rate=choice.learning_rate,
        clipping_norm=choice.clipping_norm,
        secure_averaging=SecureAveraging(minimum_cohort=3, colluders=1, bits=20, update_range=choice.update_range),
    )
    *_, exported = _programs(choice.plan, manifests[0])
    return draft_terms("e" * 64, exported, _data_sets(manifests), ask)


def _categories(manifest: Manifest) -> int:
    choices = manifest.target_form.choices
    assert choices is not None
    return choices


@cache
def _data_sets(manifests: tuple[bytes, ...]) -> list[DataSet]:
    """Three data sets of one kind at sites of their own, for the terms to name."""
    allowance = Allowance(remaining_training_share=1.0, remaining_evaluation_share=1.0, epsilon=10.0, delta=DELTA)
    with TemporaryDirectory(prefix="utility-") as folder:
        cards = [
            Identity.create(Path(folder) / name, name, "datasite", bytes(range(start, start + 32))).card
            for start, name in enumerate(("anna", "bern", "cork"))
        ]
    parsed = [Manifest.model_validate_json(it) for it in manifests]
    return [DataSet(card, it.name, it, allowance, pd.DataFrame()) for card, it in zip(cards, parsed, strict=True)]
