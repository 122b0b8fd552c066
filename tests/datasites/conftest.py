"""A real datasite in a folder of its own, for each test that asks for one; on both databases where they may differ."""

from pathlib import Path

import pytest

from tests.databases import DATABASES
from tests.one_site import Scene, new_scene

HERE = Path(__file__).parent
STORE = "store"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the tests of the store use both kinds of database, and of all others those that are marked.

    Marked are as many in each use case's file as it takes to send every statement, and all with threads at once.
    """
    of_the_store = metafunc.definition.path.relative_to(HERE).parts[0] == STORE
    marked = metafunc.definition.get_closest_marker("both_databases") is not None
    if "database" in metafunc.fixturenames and (of_the_store or marked):
        metafunc.parametrize("database", DATABASES)


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)
