"""A study whose body is frozen: 3 features through a fixed network of two layers to 4 numbers, and a trained head."""

from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from datasites.execution.trainer_messages import Prepare
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import columns, data_size

WIDTH, GIVEN = 512, 4
FEATURES = 4
"""The number of the value that is the record's features; its target is the next."""

BODY: list[tuple[str, list[int], dict[str, Any]]] = [
    ("linear", [4, 1], {}),  # 6
    ("tanh", [6], {}),
    ("linear", [7, 2], {}),
    ("tanh", [8], {}),
    ("linear", [9, 3], {}),  # 10: what the head takes
]
HEAD: list[tuple[str, list[int], dict[str, Any]]] = [
    ("linear", [10, 0], {}),
    ("select", [11], {"dim": 0, "index": 0}),
]
CUT = 10


def program(nodes: list[tuple[str, list[int], dict[str, Any]]], output: str) -> dict[str, Any]:
    """Values 0 head, 1 to 3 the body's weights, 4 features, 5 target, then the nodes; the last is the output."""
    shapes = {"head": (1, GIVEN), "body1": (WIDTH, 3), "body2": (WIDTH, WIDTH), "body3": (GIVEN, WIDTH)}
    kinds = {name: "parameter" if name == "head" else "constant" for name in shapes}
    inputs = [{"name": it, "kind": kinds[it], "shape": list(shapes[it]), "dtype": "float32"} for it in shapes]
    return {
        "version": "cloister-program/1",
        "inputs": [
            *inputs,
            {"name": "features", "kind": "feature", "shape": [3], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": output, "ref": 5 + len(nodes)}],
    }


LOSS = program([*BODY, *HEAD, ("mse_loss", [12, 5], {"reduction": "mean"})], "loss")
METRICS = program([*BODY, *HEAD, ("sigmoid", [12], {})], "score")


def values() -> dict[str, Tensor]:
    """The body's weights and a head of zeros."""
    generator = torch.Generator().manual_seed(7)
    return {
        "head": torch.zeros(1, GIVEN),
        "body1": torch.randn((WIDTH, 3), generator=generator),
        "body2": torch.randn((WIDTH, WIDTH), generator=generator) / WIDTH**0.5,
        "body3": torch.randn((GIVEN, WIDTH), generator=generator) / WIDTH**0.5,
    }


def study(*, rounds: int = 20, local_steps: int = 5, records: int = 2) -> Prepare:
    """Everybody is sampled in each step, and next to no noise added, so that two trainings can be compared."""
    return Prepare(
        loss=canonical_bytes(LOSS).decode(),
        metrics=canonical_bytes(METRICS).decode(),
        training=Training(
            strategy="fedavg",
            rounds=rounds,
            local_steps=local_steps,
            retries=0,
            sampling_rate=1.0,
            noise_multiplier=1e-9,
            clipping_norm=1.0,
            learning_rate=0.5,
            **PLAIN_STEPS,
        ),
        evaluation=Evaluation(models=tuple(range(rounds)), metrics=("score",), histograms=(), noise_multiplier=1e-9),
        parameter_count=GIVEN,
        record=columns(3, "float32"),
        size=data_size(60, 20, records),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )


def parameters() -> bytes:
    """The study's parameter file."""
    return save(values())
