"""P2 under attack where an approval was revoked that another rests on: what house rules let run on it ends with it."""

from pathlib import Path

import numpy as np
import pytest

from datasites.execution.answer_round import answer_round
from datasites.execution.charge_round import Assignment
from datasites.execution.trainer_result import RoundResult
from datasites.requests.records import Request
from policies.errors import ConflictError, RefusedError
from tests.attacks.ruled_site import SMALL, asked, new_ruled_scene
from tests.databases import SQLITE
from tests.halting import revoke
from tests.one_site import Scene
from tests.one_study import PARAMETERS


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_ruled_scene(tmp_path, SQLITE)


def charged(scene: Scene) -> tuple[Request, Request, Assignment]:
    """What a person approved, what the rules approved as like it, and the second one's round, to be computed."""
    first, second = scene.approved(**SMALL), asked(scene)
    scene.set_up(second)
    scene.ask(second, 1)
    assignment = scene.charge()
    assert assignment is not None
    return first, second, assignment


def answer(scene: Scene, assignment: Assignment) -> None:
    result = RoundResult(np.array([20.0, 5.0]), iter((np.zeros(PARAMETERS, np.float32),)), ("seccomp",))
    answer_round(scene.site, assignment, result)


def test_an_answer_that_waits_for_witnesses_stays(scene: Scene) -> None:
    first, second, assignment = charged(scene)
    answer(scene, assignment)
    revoke(scene, first)
    scene.witness()
    assert not scene.updates()
    with pytest.raises(RefusedError, match="The approval it rests on was revoked"):
        scene.ask(second, 2)
    assert scene.audit().broken == []


def test_a_result_that_is_computed_meanwhile_is_not_kept(scene: Scene) -> None:
    first, _, assignment = charged(scene)
    revoke(scene, first)
    with pytest.raises(ConflictError, match="mask key is spent"):
        answer(scene, assignment)
    assert not scene.updates()
    assert scene.audit().broken == []
