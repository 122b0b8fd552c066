"""A real datasite in a folder of its own, for each test that asks for one; on both databases where they matter."""

from pathlib import Path

import pytest

from tests.databases import DATABASES
from tests.one_site import Scene, new_scene

HERE = Path(__file__).parent
ON_BOTH_DATABASES = ("halts", "store", "people", "requests", "execution", "witnesses")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each test of these folders that uses a database use both kinds."""
    if "database" in metafunc.fixturenames and metafunc.definition.path.relative_to(HERE).parts[0] in ON_BOTH_DATABASES:
        metafunc.parametrize("database", DATABASES)


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)
