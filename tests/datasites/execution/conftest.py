"""A logistic regression study and data for tests with a real trainer process; no torch in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from datasites.execution.trainer_messages import Prepare
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import columns, data_size
from tests.unit_arrays import UnitArrays, opened

INPUTS = [
    {"name": "weight", "kind": "parameter", "shape": [1, 3], "dtype": "float32"},
    {"name": "features", "kind": "feature", "shape": [3], "dtype": "float32"},
    {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
]
SCORE = [
    {"op": "linear", "args": [1, 0], "kwargs": {}},
    {"op": "select", "args": [3], "kwargs": {"dim": 0, "index": 0}},
]


def program(nodes: list[dict[str, Any]], output: str) -> str:
    """Values 0 weight [1, 3], 1 features [3], 2 target [], 3 and 4 the score, then `nodes`; the last is the output."""
    document = {
        "version": "cloister-program/1",
        "inputs": INPUTS,
        "nodes": [*SCORE, *nodes],
        "outputs": [{"name": output, "ref": 4 + len(nodes)}],
    }
    return canonical_bytes(document).decode()


@pytest.fixture
def study() -> Prepare:
    bce = {"op": "binary_cross_entropy_with_logits", "args": [4, 2], "kwargs": {"reduction": "mean"}}
    probability = {"op": "sigmoid", "args": [4], "kwargs": {}}
    return Prepare(
        loss=program([bce], "loss"),
        metrics=program([probability], "probability"),
        training=Training(
            strategy="fedavg",
            rounds=1,
            local_steps=20,
            retries=0,
            sampling_rate=0.5,
            noise_multiplier=0.5,
            clipping_norm=1.0,
            learning_rate=0.5,
            **PLAIN_STEPS,
        ),
        evaluation=Evaluation(models=(0,), metrics=("probability",), histograms=(), noise_multiplier=1.0),
        parameter_count=3,
        record=columns(3, "float32"),
        size=data_size(400, 100, 2),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    )


@pytest.fixture
def parameters() -> bytes:
    return save({"weight": np.zeros((1, 3), np.float32)})


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[int]:
    """400 units of two records whose target is whether the first feature is positive, and 100 units of zeros."""
    features = np.random.default_rng(5).normal(size=(400, 2, 3)).astype(np.float32)
    training = UnitArrays(features, (features[..., 0] > 0).astype(np.float32), np.ones((400, 2), bool))
    holdout = UnitArrays(np.zeros((100, 2, 3), np.float32), np.zeros((100, 2), np.float32), np.ones((100, 2), bool))
    with opened(tmp_path, training, holdout) as descriptor:
        yield descriptor
