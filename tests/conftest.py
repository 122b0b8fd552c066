"""A small clinic: its manifest, and tables that agree with it; and a sandbox at work."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from datasites.catalog.keys import CatalogKeys, derive_catalog_keys
from policies.manifest import Manifest, parse_manifest
from tests.databases import SQLITE
from tests.sandbox_client import USERS, Sandbox, sandbox_of

pytest_plugins = ("tests.garbage", "tests.job_fixtures", "tests.parallel", "tests.temporary_files")

CLINIC = """
name = "clinic-a"
title = "Clinic A"
description = "One row a visit."
target = "ill"
[privacy_unit]
column = "patient"
maximum_records = 3
nominal_units = 100
[holdout]
fraction = 0.25
[[columns]]
name = "age"
type = "integer"
minimum = 18
maximum = 98
[[columns]]
name = "pressure"
type = "number"
minimum = 60.0
maximum = 220.0
[[columns]]
name = "blood"
type = "category"
categories = ["A", "B", "AB", "0"]
[[columns]]
name = "ill"
type = "category"
categories = ["no", "yes"]
"""
HEADER = "patient,age,pressure,blood,ill\n"


@pytest.fixture
def database() -> str:
    """The kind of database that a scene gets; where it matters, tests get both kinds in turn."""
    return SQLITE


@pytest.fixture(scope="session")
def clinic_toml() -> str:
    return CLINIC


@pytest.fixture(scope="session")
def manifest(clinic_toml: str) -> Manifest:
    return parse_manifest(clinic_toml.encode())


@pytest.fixture(scope="session")
def keys() -> CatalogKeys:
    return derive_catalog_keys(bytes(range(32)))


@pytest.fixture
def write_table(tmp_path):
    """Write `rows` (lines of CSV) under the clinic's header and return the path."""

    def write(rows: list[str], header: str = HEADER):
        path = tmp_path / "table.csv"
        path.write_bytes((header + "".join(f"{row}\n" for row in rows)).encode())
        return path

    return write


@pytest.fixture
def visits() -> list[str]:
    """Rows of 100 patients, with one to five visits each; a visit's age tells which visit it was."""
    blood, ill = ("A", "B", "AB", "0"), ("no", "yes")
    return [
        f"p{patient:03},{18 + visit},{60 + patient},{blood[patient % 4]},{ill[patient % 2]}"
        for visit in range(5)
        for patient in range(100)
        if visit <= patient % 5
    ]


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[Callable[[str], Sandbox]]:
    """Gives the sandbox of a user, which is at work from when it is first asked for until all tests are over."""
    with ExitStack() as stack:
        yield cache(lambda user: stack.enter_context(sandbox_of(user)))


@pytest.fixture(scope="session", params=USERS)
def sandbox(request: pytest.FixtureRequest, sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    """A sandbox at work, as root and as an ordinary user; as the latter alone if the tests do not run as root."""
    return sandboxes(request.param)
