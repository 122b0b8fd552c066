"""A small study: logistic regression on the clinic's six features, its programs, parameters and terms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save

from datasites.protocol.blobs import BlobReference
from datasites.protocol.messages import StudySubmission
from datasites.protocol.sealed import SealedMemory
from datasites.protocol.weight_messages import PART_DOMAIN, ParameterPart
from policies.programs.digests import parameters_digest, source_digest
from policies.programs.format import parse_program
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.terms import Terms
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS_AS_JSON

STUDY, OTHER_STUDY = "1" * 32, "2" * 32
RUN, OTHER_RUN = "a" * 32, "b" * 32
PARAMETERS = 6
SOURCE = "class Plan: ...\n"


def program(output: str, *nodes: dict[str, Any]) -> str:
    """Over value 0 weight [1, 6], 1 features [6], 2 target []; 3 and 4 are the score, 5 the target as a number."""
    score = [
        {"op": "linear", "args": [1, 0], "kwargs": {}},
        {"op": "select", "args": [3], "kwargs": {"dim": 0, "index": 0}},
        {"op": "to", "args": [2], "kwargs": {"dtype": "float32"}},
    ]
    document = {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1, PARAMETERS], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [PARAMETERS], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": "int64"},
        ],
        "nodes": [*score, *nodes],
        "outputs": [{"name": output, "ref": 5 + len(nodes)}],
    }
    return canonical_bytes(document).decode()


LOSS = program("loss", {"op": "binary_cross_entropy_with_logits", "args": [4, 5], "kwargs": {"reduction": "mean"}})
OTHER_LOSS = program("loss", {"op": "mse_loss", "args": [4, 5], "kwargs": {"reduction": "mean"}})
METRICS = program("probability", {"op": "sigmoid", "args": [4], "kwargs": {}})
INITIAL = save({"weight": np.zeros((1, PARAMETERS), np.float32)})
OTHER_INITIAL = save({"weight": np.ones((1, PARAMETERS), np.float32)})


def model(value: float = 0.0) -> bytes:
    """A global model as it travels."""
    return np.full(PARAMETERS, value, "<f4").tobytes()


def reference() -> BlobReference:
    """Some content's reference; what it refers to is handed to the use case directly."""
    return SealedMemory(b"elsewhere").reference


def whole(file: bytes) -> tuple[ParameterPart, ...]:
    """A parameter file in one part, which is sent."""
    return (ParameterPart(digest=digest(PART_DOMAIN, file), size=len(file), sent=True),)


def make_terms(
    study: str, researcher: str, parties: Sequence[str], expires_at: int, changes: Mapping[str, Any]
) -> Terms:
    """Terms of three rounds over `parties`; `changes` replace top-level fields, or merge into sections."""
    document: dict[str, Any] = {
        "version": "cloister-terms/1",
        "study": study,
        "title": "Sepsis",
        "researcher": researcher,
        "purpose": "Early warning",
        "legal_basis": "Consent.",
        "recipients": "The study group",
        "onward_use": "None",
        "supersedes": None,
        "cohort": [{"site": party, "data_set": "clinic-a", "weight": 1, **UNITS} for party in parties],
        "programs": {
            "loss": parse_program(LOSS.encode()).digest(),
            "metrics": parse_program(METRICS.encode()).digest(),
            "initial_parameters": parameters_digest(INITIAL),
            "source": source_digest(SOURCE),
            "parameter_count": PARAMETERS,
            "tokens": None,
        },
        "training": {
            "strategy": "fedavg",
            "rounds": 3,
            "local_steps": 2,
            "retries": 0,
            "sampling_rate": 1.0,
            "noise_multiplier": 8.0,
            "clipping_norm": 1.0,
            "learning_rate": 0.1,
            **PLAIN_STEPS_AS_JSON,
        },
        "evaluation": {"models": [0, 3], "metrics": ["probability"], "histograms": [], "noise_multiplier": 8.0},
        "secure_averaging": {"minimum_cohort": 3, "colluders": 1, "bits": 20, "update_range": 4.0},
        "privacy": {"epsilon": 5.0, "delta": 1e-6},
        "deadlines": {"setup_seconds": 60, "round_seconds": 60},
        "expires_at": expires_at,
    }
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    return Terms.model_validate_json(json.dumps(document))


def make_submission(terms: Terms, changes: Mapping[str, Any]) -> StudySubmission:
    """The message that submits `terms`; `changes` replace its fields."""
    fields = {
        "study": terms.study,
        "terms": terms.canonical().decode(),
        "loss_program": LOSS,
        "metrics_program": METRICS,
        "source": SOURCE,
        "parameter_parts": whole(INITIAL),
        "initial_parameters": reference(),
        "tokeniser": None,
    }
    return StudySubmission(**{**fields, **changes})
