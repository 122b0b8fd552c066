"""How an attacker who can write to a datasite's database changes the rows of jobs."""

import json
from collections.abc import Callable
from typing import Any

from tests.one_job import JobScene


def columns(jobs: JobScene, number: int) -> dict[str, Any]:
    """A job's row."""
    with jobs.scene.site.engine.begin() as connection:
        row = connection.exec_driver_sql("SELECT * FROM jobs WHERE number = ?", (number,)).one()
    return dict(row._mapping)


def copy(*names: str) -> Callable[[JobScene], None]:
    """Put another job's value in the place of this one's."""

    def harm(jobs: JobScene) -> None:
        for name in names:
            put(name, columns(jobs, 2)[name])(jobs)

    return harm


def put(name: str, value: object, number: int = 1) -> Callable[[JobScene], None]:
    """Write a value into a job's row."""
    statement = f"UPDATE jobs SET {name} = :it WHERE number = {number}"  # noqa: S608 – a test's own words
    return lambda jobs: jobs.scene.tamper(statement, it=value)


def edit(name: str, change: Callable[[Any], object]) -> Callable[[JobScene], None]:
    """Change the JSON in a column of the first job's row."""

    def harm(jobs: JobScene) -> None:
        value = json.loads(columns(jobs, 1)[name])
        change(value)
        put(name, json.dumps(value, separators=(",", ":"), sort_keys=True))(jobs)

    return harm
