"""A trainer that starts while people halt things: it gets no data after the halt, and is killed if it has some."""

import pytest

from datasites.execution.charge_round import Assignment
from datasites.execution.team import Team
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from tests.halting import revoke, stop
from tests.one_site import Scene


class Child:
    """A trainer's process up to the moment at which it is given the data."""

    ended = killed = given = False
    cache_bytes = 0

    def __init__(self, scene: Scene, *, halted_meanwhile: bool = False) -> None:
        self.trainers = Trainers(scene.site)
        self._scene = scene
        self._halted_meanwhile = halted_meanwhile

    def load(self, *_: object, **__: object) -> None:
        if self._halted_meanwhile:
            stop(self._scene)
            Worker(self._scene.site, self.trainers).stop_halted()
            raise TrainerFailedError("It was killed.", was_killed=True)
        self.given = True

    def kill(self) -> None:
        self.killed = True


def charged(scene: Scene) -> Assignment:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    return assignment


@pytest.mark.parametrize("halt", ["stopped", "revoked"])
def test_what_was_halted_before_it_is_given_data_gets_none(scene: Scene, halt: str) -> None:
    """The halt found no trainer with data to kill: the trainer looks for the halt itself."""
    child, assignment = Child(scene), charged(scene)
    child.trainers._running[assignment.request.digest] = child  # type: ignore[assignment]
    child.trainers._teams[assignment.request.digest] = Team(1)
    if halt == "stopped":
        stop(scene)
    else:
        revoke(scene, assignment.request)
    Worker(scene.site, child.trainers).stop_halted()
    with pytest.raises(TrainerFailedError, match="halted before its trainer had data") as caught:
        child.trainers.compute(assignment)
    assert caught.value.was_killed
    assert not child.given
    assert child.trainers._loaded == {}


def test_what_is_halted_while_it_is_given_data_is_killed(scene: Scene) -> None:
    child, assignment = Child(scene, halted_meanwhile=True), charged(scene)
    child.trainers._running[assignment.request.digest] = child  # type: ignore[assignment]
    child.trainers._teams[assignment.request.digest] = Team(1)
    with pytest.raises(TrainerFailedError):
        child.trainers.compute(assignment)
    assert child.killed
    assert child.trainers._loaded == {}
