"""Fixtures of tests that run jobs: warm sandboxes for all of them, and a fresh datasite for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.execution.jobs.zygotes import Zygotes
from tests.one_job import JobScene, new_job_scene


@pytest.fixture(scope="session")
def warm_zygotes() -> Iterator[Zygotes]:
    """Every copy of the test's datasite has the same researchers: each has one zygote for all tests."""
    zygotes = Zygotes()
    yield zygotes
    zygotes.end_all()


@pytest.fixture
def jobs(tmp_path: Path, database: str, warm_zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch) -> JobScene:
    """A datasite that offers the table «visits» to jobs; see `JobScene`."""
    monkeypatch.setattr("datasites.execution.jobs.job_worker.Zygotes", lambda: warm_zygotes)
    return new_job_scene(tmp_path, database)
