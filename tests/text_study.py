"""A study on texts: a small tokeniser, and a program that counts the tokens of a text that are the word «pain»."""

import json
from typing import Any

import numpy as np
from safetensors.numpy import save

from datasites.execution.trainer_messages import Prepare
from policies.programs.tokeniser import Tokens, parse_tokeniser, tokens_of
from policies.record_form import RecordForm, TensorForm
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.plain_steps import PLAIN_STEPS
from tests.record_forms import data_size

LENGTH, PAIN = 6, 2
TEXT_BYTES = 40
WORDS = {"?": 0, "-": 1, "pain": PAIN, "no": 3, "again": 4}


def tokeniser(**changes: Any) -> bytes:
    """A file of whole words, in lower case, as it travels."""
    document = {
        "version": "cloister-tokeniser/1",
        "length": LENGTH,
        "padding": 1,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": WORDS},
    }
    return json.dumps({**document, **changes}).encode()


def tokens() -> Tokens:
    """What terms say of it."""
    file = tokeniser()
    return tokens_of(parse_tokeniser(file), file)


def program(nodes: list[tuple[str, list[int], dict[str, Any]]], output: str) -> str:
    """Values 0 weight [1], 1 tokens, 2 target; 6 is how often «pain» stands there, 8 that × weight, 9 on `nodes`."""
    counted: list[tuple[str, list[int], dict[str, Any]]] = [
        ("full", [], {"shape": [LENGTH], "value": PAIN, "dtype": "int64"}),
        ("eq", [1, 3], {}),
        ("to", [4], {"dtype": "float32"}),
        ("sum", [5], {"dims": [], "keep": False}),
        ("mul", [6, 0], {}),
        ("select", [7], {"dim": 0, "index": 0}),
    ]
    document = {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [LENGTH], "dtype": "int64"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "float32"},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in [*counted, *nodes]],
        "outputs": [{"name": output, "ref": 2 + len(counted) + len(nodes)}],
    }
    return canonical_bytes(document).decode()


LOSS = program([("mse_loss", [8, 2], {"reduction": "mean"})], "loss")
METRICS = program(
    [("full", [], {"shape": [], "value": 0.1, "dtype": "float32"}), ("mul", [6, 9], {})],
    "pain",
)
"""How often «pain» stands in a text, a tenth for each time."""


def study() -> Prepare:
    """With next to no noise."""
    return Prepare(
        loss=LOSS,
        metrics=METRICS,
        training=Training(
            strategy="fedavg",
            rounds=2,
            local_steps=2,
            retries=0,
            sampling_rate=1.0,
            noise_multiplier=1e-9,
            clipping_norm=1.0,
            learning_rate=1.0,
            **PLAIN_STEPS,
        ),
        evaluation=Evaluation(models=(0, 1), metrics=("pain",), histograms=(), noise_multiplier=1e-9),
        parameter_count=1,
        record=RecordForm(features=tokens().form, target=TensorForm(shape=(), dtype="float32", choices=None)),
        size=data_size(50, 50),
        gradients="automatic",
        tokens=tokens(),
        tokeniser_bytes=len(tokeniser()),
    )


def parameters() -> bytes:
    """The study's parameter file."""
    return save({"weight": np.zeros(1, np.float32)})
