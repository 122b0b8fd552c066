"""What every attack on an approval must end in: all doors closed, nothing charged, nothing computed."""

from collections.abc import Callable
from typing import Any

import pytest

from datasites.requests.records import Request
from policies.errors import CloisterError
from tests.one_site import Scene


def assert_nothing_runs(scene: Scene, request: Request, expected: type[CloisterError]) -> None:
    """The study is refused at each of its three doors, and nothing was charged or computed."""
    doors: tuple[Callable[[], Any], ...] = (
        lambda: scene.start(request),
        lambda: scene.accept(scene.roster(request, scene.start(request))),
        lambda: scene.ask(request, 1),
    )
    for door in doors:
        with pytest.raises(expected):
            door()
    assert scene.charge() is None
    assert scene.count("charges") == scene.count("rounds") == 0
