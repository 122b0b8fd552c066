"""P1: whatever the program and the values, taking one unit away moves a step's sum by at most the clipping norm."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from policies.programs.format import Program
from policies.statements.canonical import canonical_bytes
from tests.attacks.crafted_study import training
from tests.clipped_sums import trained_loss

NORM = 0.25
UNITS, RECORDS, WIDTH = 7, 3, 4
Nodes = list[tuple[str, list[int], dict[str, Any]]]
MEAN = {"reduction": "mean"}


def prepared(parameters: dict[str, list[int]], nodes: Nodes, features: str = "float32") -> TrainedLoss:
    """Values: the parameters by name, features [4], target [], then one a node; the last one is the loss."""
    inputs = [
        *({"name": name, "kind": "parameter", "shape": parameters[name], "dtype": "float32"} for name in parameters),
        {"name": "features", "kind": "feature", "shape": [WIDTH], "dtype": features},
        {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
    ]
    document = {
        "version": "cloister-program/1",
        "inputs": inputs,
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": "loss", "ref": len(inputs) + len(nodes) - 1}],
    }
    program = Program.model_validate_json(canonical_bytes(document))
    values = {name: torch.zeros(shape) for name, shape in parameters.items()}
    return trained_loss(program, values)


PERCEPTRON = prepared(  # 0 b1, 1 b2, 2 w1, 3 w2, 4 features, 5 target
    {"b1": [5], "b2": [1], "w1": [5, 4], "w2": [1, 5]},
    [
        ("linear", [4, 2, 0], {}),
        ("tanh", [6], {}),
        ("linear", [7, 3, 1], {}),
        ("select", [8], {"dim": 0, "index": 0}),
        ("mse_loss", [9, 5], MEAN),
    ],
)
TIED = prepared(  # 0 w, 1 features, 2 target: the weight is used three times
    {"w": [4, 4]},
    [
        ("linear", [1, 0], {}),
        ("sigmoid", [3], {}),
        ("linear", [4, 0], {}),
        ("mul", [5, 5], {}),
        ("sum", [6], {"dims": [], "keep": False}),
        ("sum", [0], {"dims": [], "keep": False}),
        ("mul", [7, 8], {}),
    ],
)
RECOMMENDER = prepared(  # 0 head, 1 table, 2 features, 3 target: a unit may look up one row several times
    {"head": [1, 3], "table": [6, 3]},
    [
        ("embedding", [1, 2], {}),
        ("sum", [4], {"dims": [0], "keep": False}),
        ("linear", [5, 0], {}),
        ("select", [6], {"dim": 0, "index": 0}),
        ("binary_cross_entropy_with_logits", [7, 3], MEAN),
    ],
    "int64",
)
BLOWN_UP = prepared(  # exp and a quotient: gradients of any size, infinite ones, none
    {"b": [1], "w": [1, 4]},
    [
        ("linear", [2, 1, 0], {}),
        ("exp", [4], {}),
        ("select", [5], {"dim": 0, "index": 0}),
        ("div", [6, 3], {}),
    ],
)
FEATURES = {
    "ordinary": [1.0],
    "huge": [1e4, -1e15, 1e30, 3e38],
    "of all sizes": [1e-40, 1e-20, 1.0, 50.0, 1e10, 1e20],
    "no numbers": [float("nan"), float("inf"), 1.0],
}
TARGETS = {"ordinary": [0.0, 1.0], "huge": [3e38, -1e20], "of all sizes": [1e-30, 0.0, 1e12], "no numbers": [0.0, 1.0]}


def people(loss: TrainedLoss, kind: str) -> UnitData:
    """Units with one to three records each, every third of them ordinary; empty places hold rubbish."""
    random = torch.Generator().manual_seed(4)

    def drawn(values: list[float], *shape: int) -> Tensor:
        return torch.tensor(values)[torch.randint(len(values), shape, generator=random)]

    counts = torch.arange(UNITS) % RECORDS + 1
    mask = torch.arange(RECORDS)[None] < counts[:, None]
    factors = drawn(FEATURES[kind], UNITS, RECORDS, WIDTH)
    factors[::3] = 1.0
    features = torch.randn(UNITS, RECORDS, WIDTH, generator=random) * factors
    if loss is RECOMMENDER:
        features = torch.randint(-3, 9, features.shape, generator=random)
    target = drawn(TARGETS[kind], UNITS, RECORDS)
    target[::3] = 1.0
    return UnitData((features, target), mask)


def step_sum(loss: TrainedLoss, data: UnitData, units: list[int]) -> Tensor:
    """The sum that a step over these units adds noise to, from the change of a model at rest or near it."""
    some = UnitData(tuple(value[units] for value in data.record), data.mask[units])
    start = 0.25 * torch.sin(torch.arange(loss.program.parameter_count, dtype=torch.float32))
    change = local_training(loss, start, some, training(clipping_norm=NORM), UNITS, 1)
    return -UNITS * change.double()


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize(
    "loss",
    [PERCEPTRON, TIED, RECOMMENDER, BLOWN_UP],
    ids=["perceptron", "tied weights", "recommender", "blown up"],
)
def test_removing_any_unit_moves_the_sum_by_at_most_the_clipping_norm(
    loss: TrainedLoss, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: torch.zeros(count, dtype=torch.float64).numpy())
    data, everybody = people(loss, kind), list(range(UNITS))
    whole = step_sum(loss, data, everybody)
    moves = [
        float((whole - step_sum(loss, data, [unit for unit in everybody if unit != gone])).norm()) for gone in everybody
    ]
    assert whole.isfinite().all()
    assert max(moves) <= NORM * (1 + 1e-5)
    assert max(moves) > 0.9 * NORM  # somebody was shortened
