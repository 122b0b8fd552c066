"""A rehearsal: one tiny study without data, so that all that torch loads at first use is loaded before the lockdown."""

import os
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from datasites.execution.trainer_messages import DataSize, Prepare
from datasites.training.cache_file import CacheFile
from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.study import prepare_study
from datasites.training.tokens import TextReader
from datasites.training.trainer import local_training
from policies.programs.tokeniser import parse_tokeniser
from policies.record_form import RecordForm, TensorForm
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Histogram, Training
from policies.training_choices import AdamW, Schedule

_MEMORY_BYTES = 2**24


def rehearse() -> None:
    """Check, train and measure a linear model on no unit at all, through the very functions that a study uses."""
    sure = Histogram(name="sure", bins=2)
    evaluation = Evaluation(models=(0,), metrics=("hit",), histograms=(sure,), noise_multiplier=1.0)
    message = Prepare(
        loss=_program(("loss",), "mse_loss", {"reduction": "mean"}),
        metrics=_program(evaluation.outputs, "eq", {}),
        training=Training(
            strategy="fedavg",
            rounds=1,
            local_steps=1,
            retries=0,
            sampling_rate=0.5,
            noise_multiplier=1.0,
            clipping_norm=1.0,
            learning_rate=1.0,
            optimizer=AdamW(decays=(0.9, 0.999), epsilon=1e-8, weight_decay=0.01),
            schedule=Schedule(type="cosine", warm_up_steps=0),
        ),
        evaluation=evaluation,
        parameter_count=2,
        record=RecordForm(
            features=TensorForm(shape=(2,), dtype="float32", choices=None),
            target=TensorForm(shape=(), dtype="float32", choices=None),
        ),
        tokens=None,
        tokeniser_bytes=0,
        size=DataSize(nominal_training_units=2, nominal_holdout_units=2, maximum_records=1),
        gradients="automatic",
    )
    study = prepare_study(message, save({"weight": torch.zeros(1, 2)}), _MEMORY_BYTES, 0)
    nobody = UnitData((torch.zeros(0, 1, 2), torch.zeros(0, 1)), torch.zeros(0, 1, dtype=torch.bool))
    local_training(study.loss, torch.zeros(2), nobody, study.training, 2, 1)
    local_evaluation(study.metrics, torch.zeros(2), nobody, study.evaluation, 2)
    _rehearse_cache()
    _rehearse_texts()


def _rehearse_cache() -> None:
    row = np.zeros(1, [("value0", "<f4", (1,))])
    descriptor = os.memfd_create("rehearsal")
    file = CacheFile(descriptor, 0, row.dtype)
    file.append(row)
    file.read(np.zeros(1, np.int64))
    os.close(descriptor)


def _rehearse_texts() -> None:
    steps = {"normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None}
    model = {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}
    file = canonical_bytes(
        {**steps, "version": "cloister-tokeniser/1", "length": 2, "padding": 0, "added_tokens": [], "model": model}
    )
    TextReader(parse_tokeniser(file)).read([b"a text"])


def _program(outputs: tuple[str, ...], compare: str, options: dict[str, Any]) -> str:
    document = {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1, 2], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [2], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [
            {"op": "linear", "args": [1, 0], "kwargs": {}},
            {"op": "sum", "args": [3], "kwargs": {"dims": [], "keep": False}},
            {"op": compare, "args": [4, 2], "kwargs": options},
            {"op": "to", "args": [5], "kwargs": {"dtype": "float32"}},
        ],
        "outputs": [{"name": name, "ref": 6} for name in outputs],
    }
    return canonical_bytes(document).decode()
