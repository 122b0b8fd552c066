"""P6 under attack: one charge, one answer, whoever comes late, comes twice or fails half way."""

from pathlib import Path

import pytest

from datasites.requests.records import Status
from datasites.store.outbox import oldest
from policies.errors import ConflictError, RefusedError
from tests.attacks.after_a_crash import assert_sound, restart
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def test_a_worker_that_outlived_a_restart_cannot_answer_what_was_burned(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    restart(scene)
    with pytest.raises(ConflictError):
        scene.answer(assignment)
    assert assert_sound(scene, request) == set()


def test_two_answers_never_leave_for_one_charge(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    with pytest.raises(ConflictError):
        scene.answer(assignment, 0.75)
    assert assert_sound(scene, request) == {1}


def test_an_answer_that_fails_leaves_no_half_of_itself(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(RefusedError):
        scene.answer(assignment, float("nan"))
    assert scene.updates() == []
    assert scene.count("mask_keys") == request.terms.sums
    scene.answer(assignment)
    assert assert_sound(scene, request) == {1}


def test_burning_one_round_leaves_other_studies_alone(scene: Scene) -> None:
    first, second = scene.ready(), scene.ready(OTHER_STUDY)
    scene.ask(first, 1)
    assert scene.charge() is not None
    scene.ask(second, 1)
    restart(scene)
    assert scene.request(first.digest).status is Status.FAILED
    assignment = scene.charge()
    assert assignment is not None
    assert assignment.request.digest == second.digest
    scene.answer(assignment)
    assert scene.audit().broken == []


def test_a_letter_is_sent_until_it_is_known_to_be_sent(scene: Scene) -> None:
    """Reading the outbox changes nothing: a sender that dies before `sent` finds the same letter under its number."""
    scene.compute(scene.ready(), 1)
    with scene.site.engine.begin() as connection:
        first = oldest(connection, (), 9)
    scene.site.engine.dispose()
    with scene.site.engine.begin() as connection:
        again = oldest(connection, (), 9)
    assert first
    assert first == again
