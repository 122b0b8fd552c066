"""Small programs and data for the trainer's tests, built without the researcher's exporter."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from datasites.training.prepared import PreparedProgram, prepare_program
from policies.programs.format import Program
from tests.clipped_sums import trained_loss

FEATURES = 3


def program(nodes: list[tuple[str, list[int], dict[str, Any]]], outputs: dict[str, int], target: str) -> Program:
    """Values 0 bias [1], 1 weight [1, 3], 2 features [3], 3 target [], then one value a node."""
    return Program.model_validate(
        {
            "version": "cloister-program/1",
            "inputs": (
                {"name": "bias", "kind": "parameter", "shape": (1,), "dtype": "float32"},
                {"name": "weight", "kind": "parameter", "shape": (1, FEATURES), "dtype": "float32"},
                {"name": "features", "kind": "feature", "shape": (FEATURES,), "dtype": "float32"},
                {"name": "target", "kind": "target", "shape": (), "dtype": target},
            ),
            "nodes": tuple({"op": op, "args": tuple(args), "kwargs": kwargs} for op, args, kwargs in nodes),
            "outputs": tuple({"name": name, "ref": ref} for name, ref in outputs.items()),
        }
    )


@pytest.fixture
def make_loss() -> Callable[..., TrainedLoss]:
    """Make a loss of nodes that start at value 4; the last one is the loss."""

    def make(nodes: list[tuple[str, list[int], dict[str, Any]]], target: str = "float32") -> TrainedLoss:
        return trained_loss(program(nodes, {"loss": 3 + len(nodes)}, target), {})

    return make


@pytest.fixture(scope="session")
def logistic() -> TrainedLoss:
    """Logistic regression on one record: BCE of w·x + b against the target, reported as a scalar."""
    nodes: list[tuple[str, list[int], dict[str, Any]]] = [
        ("linear", [2, 1, 0], {}),
        ("select", [4], {"dim": 0, "index": 0}),
        ("binary_cross_entropy_with_logits", [5, 3], {"reduction": "mean"}),
    ]
    return trained_loss(program(nodes, {"loss": 6}, "float32"), {})


@pytest.fixture
def two_metrics() -> PreparedProgram:
    """`first` is the first feature, `target` the target itself: raw values, to be clipped by the trainer."""
    nodes: list[tuple[str, list[int], dict[str, Any]]] = [
        ("select", [2], {"dim": 0, "index": 0}),
        ("to", [3], {"dtype": "float32"}),
    ]
    metrics = program(nodes, {"first": 4, "target": 5}, "float32")
    return prepare_program(metrics, kind="metrics", values={}, memory_bytes=2**24)


@pytest.fixture(scope="session")
def draw_units() -> Callable[..., UnitData]:
    """Draw units with 1 to `records` records each, the other places masked and filled with rubbish."""

    def draw(units: int, records: int = 3, seed: int = 1) -> UnitData:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        counts = torch.randint(1, records + 1, (units,), generator=generator)
        mask = torch.arange(records)[None, :] < counts[:, None]
        features = torch.where(mask[..., None], normal(units, records, FEATURES), torch.nan)
        target = torch.where(mask, (normal(units, records) > 0).float(), torch.inf)
        return UnitData((features, target), mask)

    return draw
