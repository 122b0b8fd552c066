"""A ledger in a real SQLite file, opened as a datasite opens it, and terms whose costs are easy to follow."""

import json

import pytest
from sqlalchemy import Engine, create_engine, event

from policies.budget.tables import charges, populations, reservations
from policies.database import metadata
from policies.terms import Terms


@pytest.fixture
def engine(tmp_path) -> Engine:
    opened = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}", connect_args={"timeout": 30})

    @event.listens_for(opened, "connect")
    def _configure(connection, _record):
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(opened, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    metadata.create_all(opened, tables=[populations, reservations, charges])
    return opened


@pytest.fixture
def terms() -> Terms:
    digests = [f"{number:064x}" for number in range(1, 9)]
    content = {
        "version": "cloister-terms/1",
        "study": "ab" * 16,
        "title": "t",
        "researcher": digests[0],
        "purpose": "p",
        "recipients": "r",
        "onward_use": "none",
        "cohort": [{"site": site, "data_set": "visits", "weight": 1} for site in digests[1:4]],
        "programs": {
            **dict(zip(("loss", "metrics", "initial_parameters", "source"), digests[4:], strict=True)),
            "parameter_count": 9,
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
        },
        "evaluation": {"models": [0, 4], "metrics": ["accuracy"], "noise_multiplier": 20.0},
        "secure_averaging": {"minimum_cohort": 3, "colluders": 1, "bits": 16, "update_range": 1.0},
        "privacy": {"epsilon": 3.0, "delta": 1e-6},
        "deadlines": {"setup_seconds": 60, "round_seconds": 60},
        "expires_at": 2_000_000_000,
    }
    return Terms.model_validate_json(json.dumps(content))
