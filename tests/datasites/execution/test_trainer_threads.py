"""A trainer on several threads of the processor: it gives what one thread gives, and every thread flushes denormals."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
from datasites.training.study import prepare_study
from datasites.training.trainer import local_training
from datasites.training.unit_file import open_units
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation
from tests.attacks.crafted_study import training
from tests.record_forms import columns, data_size
from tests.unit_arrays import UnitArrays, opened

UNITS, WIDTH = 200, 256  # a chunk has more numbers than torch leaves to one thread
TINY = np.float32(1e-40)


def program(nodes: list[tuple[str, list[int], dict[str, Any]]], output: str) -> str:
    """Values 0 denormal, 1 weight, 2 features, 3 target, then the nodes; the last is the output."""
    document = {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "denormal", "kind": "parameter", "shape": [WIDTH], "dtype": "float32"},
            {"name": "weight", "kind": "parameter", "shape": [1, WIDTH], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [WIDTH], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": output, "ref": 3 + len(nodes)}],
    }
    return canonical_bytes(document).decode()


STUDY = Prepare(
    loss=program(
        [
            ("linear", [2, 1], {}),
            ("select", [4], {"dim": 0, "index": 0}),
            ("mse_loss", [5, 3], {"reduction": "mean"}),
            ("mul", [0, 2], {}),
            ("full", [], {"shape": [WIDTH], "value": 1e38, "dtype": "float32"}),
            ("mul", [7, 8], {}),  # what was flushed to 0 stays 0, and what was not is blown up
            ("mul", [9, 9], {}),
            ("mean", [10], {"dims": [], "keep": False}),
            ("add", [6, 11], {}),
        ],
        "loss",
    ),
    metrics=program([("select", [2], {"dim": 0, "index": 0})], "first"),
    training=training(noise_multiplier=0.0, local_steps=1),
    evaluation=Evaluation(models=(), metrics=("first",), histograms=(), noise_multiplier=0.0),
    parameter_count=2 * WIDTH,
    record=columns(WIDTH, "float32"),
    size=data_size(UNITS, 1),
    gradients="automatic",
    tokens=None,
    tokeniser_bytes=0,
)
PARAMETERS = save({"denormal": np.zeros(WIDTH, np.float32), "weight": np.zeros((1, WIDTH), np.float32)})


def test_two_threads_compute_what_one_does_and_flush_denormals(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    features = random.normal(size=(UNITS, 1, WIDTH)).astype(np.float32)
    people = UnitArrays(features, (features[..., 0] > 0).astype(np.float32), np.ones((UNITS, 1), bool))
    ordinary = np.concatenate([np.zeros(WIDTH), random.normal(size=WIDTH)]).astype(np.float32)
    tiny = np.concatenate([np.full(WIDTH, TINY), ordinary[WIDTH:]]).astype(np.float32)
    with (
        opened(tmp_path, people, people) as snapshot,
        TrainerProcess(memory_bytes=4 * 2**30, threads=2, start_seconds=60) as trainer,
    ):
        assert trainer._process is not None
        tasks = Path(f"/proc/{trainer._process.pid}/task")
        before = len(list(tasks.iterdir()))
        trainer.prepare(STUDY, (PARAMETERS,), len(PARAMETERS), seconds=30)
        trainer.load(snapshot, None, seconds=30)

        def update(model: np.ndarray) -> np.ndarray:
            result = trainer.round((model.tobytes(),), number=1, trains=True, evaluates=False, seconds=60)
            return np.concatenate([block.copy() for block in result.update])

        changes = update(ordinary)
        assert len(list(tasks.iterdir())) == before + 1
        assert not update(tiny)[:WIDTH].any()
        units, _ = open_units(snapshot)
        alone = local_training(
            prepare_study(STUDY, PARAMETERS, 2**30, 0).loss, torch.from_numpy(ordinary), units, STUDY.training, UNITS, 1
        )
    np.testing.assert_allclose(changes, alone.numpy(), rtol=1e-4, atol=1e-6)
