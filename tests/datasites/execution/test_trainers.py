"""What the datasite tells a trainer beside the study: the owner's rule on threads, and which round it computes."""

from pathlib import Path
from typing import Any, Self

import pytest

from datasites.execution import trainers
from datasites.execution.trainer_result import RoundResult
from datasites.execution.trainers import Trainers
from datasites.store.data_sets import require_data_set
from tests.one_site import new_scene


class Told:
    """Stands for a trainer process, and notes what it is told."""

    told: dict[str, Any]
    ended = False
    cache_bytes = 0

    def __init__(self, **told: Any) -> None:
        type(self).told = told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def prepare(self, *_: object, **__: object) -> None:
        pass

    def load(self, *_: object, **__: object) -> None:
        pass

    def round(self, *_: object, **told: Any) -> RoundResult:
        self.told.update(told)
        return RoundResult(None, iter(()), ("seccomp",))


def test_a_trainer_has_as_many_threads_as_the_owner_ruled_and_knows_its_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers, "TrainerProcess", Told)
    scene = new_scene(tmp_path)
    scene.rule("threads = 1", "threads = 3")
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    Trainers(scene.site).compute(assignment)
    assert (Told.told["threads"], Told.told["number"], Told.told["trains"]) == (3, 1, True)
    assert Told.told["place"].count == 1


def test_a_trainer_without_data_starts_again_when_the_owner_rules_another_number_of_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers, "TrainerProcess", Told)
    scene = new_scene(tmp_path)
    request = scene.approved()
    with scene.site.engine.begin() as connection:
        data_set = require_data_set(connection, "clinic-a")
    made = Trainers(scene.site)
    first = made.start(request, data_set)
    assert made.start(request, data_set) is first
    scene.adopt(scene.site.home.house_rules_file.read_text() + "[data_sets.clinic-a]\nmachines = 3\n")
    assert made.start(request, data_set) is not first
    assert (Told.told["place"].rank, Told.told["place"].count, len(Told.told["place"].links)) == (0, 3, 2)
    made.end_all_but(set())
