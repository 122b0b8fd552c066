"""A study is refused before any data is there, with a reason, unless everything it brings fits together."""

import json

import pytest
import torch
from safetensors.torch import save

from datasites.execution.trainer_messages import Prepare
from datasites.training.prepared import PreparedProgram
from datasites.training.study import prepare_study
from policies.errors import InvalidInputError
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import columns, data_size

PARAMETERS = {"bias": torch.zeros(1), "weight": torch.zeros(1, 3)}


@pytest.fixture
def message(logistic: PreparedProgram, two_metrics: PreparedProgram) -> Prepare:
    return Prepare(
        loss=logistic.program.canonical().decode(),
        metrics=two_metrics.program.canonical().decode(),
        training=Training(
            strategy="fedavg",
            rounds=1,
            local_steps=1,
            retries=0,
            sampling_rate=0.5,
            noise_multiplier=1.0,
            clipping_norm=1.0,
            learning_rate=1.0,
            **PLAIN_STEPS,
        ),
        evaluation=Evaluation(models=(0,), metrics=("first", "target"), histograms=(), noise_multiplier=1.0),
        parameter_count=4,
        record=columns(3, "float32"),
        size=data_size(2, 2),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )


def test_a_study_that_fits_is_prepared(message: Prepare) -> None:
    study = prepare_study(message, save(PARAMETERS), 2**24, 0)
    assert study.loss.program.parameter_count == 4
    assert study.metrics.chunk > 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"record": columns(5, "float32")}, "Export the plan"),
        ({"record": columns(3, "int64")}, r"the data set has int64 \[\]"),
        ({"parameter_count": 5}, "terms say 5"),
        (
            {"evaluation": Evaluation(models=(), metrics=("first",), histograms=(), noise_multiplier=1.0)},
            "other metrics",
        ),
        ({"loss": "{}"}, "not valid"),
        ({"loss": "import os"}, "not strict JSON"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(message: Prepare, change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        prepare_study(message.model_copy(update=change), save(PARAMETERS), 2**24, 0)


def test_an_operation_off_the_list_is_refused(message: Prepare) -> None:
    document = json.loads(message.loss)
    document["nodes"][0]["op"] = "from_file"
    with pytest.raises(InvalidInputError, match="from_file"):
        prepare_study(
            message.model_copy(update={"loss": canonical_bytes(document).decode()}), save(PARAMETERS), 2**24, 0
        )


def test_parameters_of_another_shape_are_refused(message: Prepare) -> None:
    with pytest.raises(InvalidInputError, match="weight"):
        prepare_study(message, save({**PARAMETERS, "weight": torch.zeros(3, 1)}), 2**24, 0)


def test_a_program_too_large_for_the_trainers_memory_is_refused(message: Prepare) -> None:
    with pytest.raises(InvalidInputError, match="smaller model"):
        prepare_study(message, save(PARAMETERS), 100, 0)
