"""A researcher's study, crafted for attacks on the trainer: programs by their nodes, terms, and made-up people."""

from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor

from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_result import RoundResult
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from policies.programs.format import Program
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.clipped_sums import contributions, trained_loss
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import columns, data_size

Nodes = list[tuple[str, list[int], dict[str, Any]]]
MEMORY = 4 * 2**30
ZEROS = np.zeros(3, np.float32)
MODEL = (ZEROS.data,)
SQUARE: Nodes = [
    ("linear", [1, 0], {}),
    ("select", [3], {"dim": 0, "index": 0}),
    ("mse_loss", [4, 2], {"reduction": "mean"}),
]


def document(nodes: Nodes, output: str = "loss", target: str = "float32", features: int = 3) -> dict[str, Any]:
    """Values 0 weight [1, features], 1 features, 2 target, then the nodes; the last is the output."""
    return {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1, features], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [features], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": target},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": output, "ref": 2 + len(nodes)}],
    }


def prepared(nodes: Nodes, target: str = "float32", features: int = 3) -> TrainedLoss:
    program = Program.model_validate_json(canonical_bytes(document(nodes, "loss", target, features)))
    return trained_loss(program, {})


def training(**changes: float) -> Training:
    values = {
        "strategy": "fedavg",
        "rounds": 1,
        "local_steps": 1,
        "retries": 0,
        "sampling_rate": 1.0,
        "noise_multiplier": 1.0,
        "clipping_norm": 1.0,
        "learning_rate": 1.0,
        **PLAIN_STEPS,
    }
    return Training.model_validate({**values, **changes})


def study(nodes: Nodes) -> Prepare:
    metrics: Nodes = [("select", [1], {"dim": 0, "index": 0})]
    return Prepare(
        loss=canonical_bytes(document(nodes)).decode(),
        metrics=canonical_bytes(document(metrics, "first")).decode(),
        training=training(),
        evaluation=Evaluation(models=(0,), metrics=("first",), histograms=(), noise_multiplier=1.0),
        parameter_count=3,
        record=columns(3, "float32"),
        size=data_size(60, 20),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )


def people(units: int, features: int = 3) -> UnitData:
    generator = torch.Generator().manual_seed(3)
    return UnitData(
        (torch.randn((units, 1, features), generator=generator), torch.randn((units, 1), generator=generator)),
        torch.ones((units, 1), dtype=torch.bool),
    )


def contribution(loss: TrainedLoss, data: UnitData, model: Tensor) -> Tensor:
    """Of each unit, on whatever path is taken: [units, features]."""
    return contributions(loss.fitted(len(data), data, 1.0), {"weight": model}, data)["weight"].flatten(1)


def weights() -> bytes:
    return save({"weight": np.zeros((1, 3), np.float32)})


def collected(result: RoundResult) -> np.ndarray:
    return np.concatenate([block.copy() for block in result.update])
