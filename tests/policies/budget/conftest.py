"""A ledger in a real database of each kind, opened as a datasite opens it, and terms whose costs are easy to follow."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from datasites.store.engine import open_engine
from policies.budget.tables import charges, populations, reservations
from policies.database import metadata
from policies.terms import Terms
from tests.databases import DATABASES, SQLITE, empty_database
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS_AS_JSON
from tests.postgresql_server import new_database


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    yield from _ledger(empty_database(request.param, tmp_path))


@pytest.fixture(scope="module", params=DATABASES)
def shared_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A ledger for tests that take back whatever they write."""
    folder = tmp_path_factory.mktemp("ledger")
    yield from _ledger(empty_database(SQLITE, folder) if request.param == SQLITE else new_database())


def _ledger(url: str) -> Iterator[Engine]:
    opened = open_engine(url)
    metadata.create_all(opened, tables=[populations, reservations, charges])
    yield opened
    opened.dispose()


@pytest.fixture
def terms() -> Terms:
    digests = [f"{number:064x}" for number in range(1, 9)]
    content = {
        "version": "cloister-terms/1",
        "study": "ab" * 16,
        "title": "t",
        "researcher": digests[0],
        "purpose": "p",
        "legal_basis": "Consent.",
        "recipients": "r",
        "onward_use": "none",
        "supersedes": None,
        "cohort": [{"site": site, "data_set": "visits", "weight": 1, **UNITS} for site in digests[1:4]],
        "programs": {
            **dict(zip(("loss", "metrics", "initial_parameters", "source"), digests[4:], strict=True)),
            "parameter_count": 9,
            "tokens": None,
        },
        "training": {
            "strategy": "fedavg",
            "rounds": 4,
            "local_steps": 5,
            "retries": 0,
            "sampling_rate": 0.1,
            "noise_multiplier": 2.0,
            "clipping_norm": 1.0,
            "learning_rate": 0.1,
            **PLAIN_STEPS_AS_JSON,
        },
        "evaluation": {"models": [0, 4], "metrics": ["accuracy"], "histograms": [], "noise_multiplier": 20.0},
        "secure_averaging": {"minimum_cohort": 3, "colluders": 1, "bits": 16, "update_range": 1.0},
        "privacy": {"epsilon": 3.0, "delta": 1e-6},
        "deadlines": {"setup_seconds": 60, "round_seconds": 60},
        "expires_at": 2_000_000_000,
    }
    return Terms.model_validate_json(json.dumps(content))
