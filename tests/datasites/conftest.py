"""A real datasite in a folder of its own, for each test that asks for one."""

from pathlib import Path

import pytest

from tests.one_site import Scene, new_scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)
