"""P2 under attack by the coordinator: who drives a study, which run and roster count, and which round is due."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from datasites.requests.records import Status
from datasites.secure_averaging.advertisement import create
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_RUN, RUN, model


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def test_another_pinned_researcher_cannot_drive_the_study(scene: Scene) -> None:
    request, eve = scene.approved(), scene.other_researcher.party
    with pytest.raises(RefusedError, match="no such study of yours"):
        scene.start(request, sender=eve)
    roster = scene.roster(request, scene.start(request))
    with pytest.raises(RefusedError, match="no such study of yours"):
        scene.accept(roster, sender=eve)
    scene.accept(roster)
    with pytest.raises(RefusedError, match="no such study of yours"):
        scene.ask(request, 1, sender=eve)
    scene.compute(request, 1)
    with pytest.raises(RefusedError, match="no such study of yours"):
        scene.ask(request, 1, sender=eve)
    assert scene.count("charges") == 2


def test_a_second_run_after_rounds_began_is_refused(scene: Scene) -> None:
    request = scene.ready()
    scene.compute(request, 1)
    with pytest.raises(RefusedError, match="resume that run"):
        scene.start(request, OTHER_RUN)
    with pytest.raises(RefusedError):
        scene.ask(request, 2, run=OTHER_RUN)


def test_a_run_that_is_replaced_before_its_rounds_takes_its_keys_along(scene: Scene) -> None:
    request = scene.approved()
    old = scene.roster(request, scene.start(request))
    fresh = scene.start(request, OTHER_RUN)
    assert set(old.advertisements[0].keys).isdisjoint(fresh.keys)
    with pytest.raises(RefusedError):
        scene.accept(old)
    with pytest.raises(CloisterError):
        scene.accept(old.model_copy(update={"run": OTHER_RUN}))
    assert scene.count("mask_keys") == request.terms.sums


def test_one_round_has_one_global_model(scene: Scene) -> None:
    request = scene.ready()
    first = scene.compute(request, 1)
    with pytest.raises(ConflictError, match="another global model"):
        scene.ask(request, 1, model(1.0))
    scene.send_all()
    assert not scene.ask(request, 1)
    assert scene.charge() is None
    assert scene.updates() == [first]
    assert scene.count("charges") == 2


def test_a_model_that_was_asked_and_not_yet_charged_is_frozen_too(scene: Scene) -> None:
    request = scene.ready()
    assert scene.ask(request, 1)
    with pytest.raises(ConflictError):
        scene.ask(request, 1, model(1.0))


@pytest.mark.parametrize("number", [2, 4, 5, 10_001])
def test_a_round_out_of_turn_is_refused(scene: Scene, number: int) -> None:
    request = scene.ready()
    with pytest.raises(RefusedError, match="out of turn"):
        scene.ask(request, number)


def test_no_round_follows_the_last_one(scene: Scene) -> None:
    request = scene.ready()
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    assert scene.request(request.digest).status is Status.DONE
    with pytest.raises(RefusedError):
        scene.ask(request, request.terms.sums + 1)
    with pytest.raises(RefusedError):
        scene.start(request, OTHER_RUN)


@pytest.mark.parametrize("content", [b"", b"\0" * 20, b"\0" * 28, b"\0\0\xc0\x7f" * 6, b"\0\0\x80\x7f" * 6])
def test_a_global_model_of_another_size_or_not_finite_is_refused(scene: Scene, content: bytes) -> None:
    request = scene.ready()
    with pytest.raises(InvalidInputError):
        scene.ask(request, 1, content or b"\0")
    assert scene.count("rounds") == 0


def test_a_second_roster_is_refused_and_the_first_stands(scene: Scene) -> None:
    request = scene.approved()
    own = scene.start(request)
    first = scene.roster(request, own)
    scene.accept(first)
    with pytest.raises(ConflictError):
        scene.accept(scene.roster(request, own))
    scene.accept(first)
    with scene.site.engine.begin() as connection:
        stored = connection.execute(text("SELECT roster FROM runs")).scalar_one()
    assert all(entry.signature in stored for entry in first.advertisements)


def test_a_roster_with_an_invented_or_a_missing_site_is_refused(scene: Scene) -> None:
    request = scene.approved()
    honest = scene.roster(request, scene.start(request))
    researcher = scene.researcher
    invented, _ = create(researcher.signing, researcher.party, request.digest, RUN, request.terms.sums)
    for entries in (honest.advertisements[:2], (*honest.advertisements[:2], invented)):
        with pytest.raises(CloisterError):
            scene.accept(honest.model_copy(update={"advertisements": entries}))
    with pytest.raises(RefusedError, match="no roster"):
        scene.ask(request, 1)


def test_a_site_that_was_not_pinned_is_not_averaged_with(scene: Scene) -> None:
    request = scene.approved()
    roster = scene.roster(request, scene.start(request))
    scene.witness()
    scene.tamper("DELETE FROM witnesses")
    scene.tamper("DELETE FROM peers WHERE name = 'bern'")
    with pytest.raises(NotAuthenticError, match="not pinned"):
        scene.accept(roster)


def test_a_stale_worker_cannot_answer_a_round_for_another_model(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    forged = replace(assignment, model=replace(assignment.model, digest="f" * 64))
    with pytest.raises(ConflictError):
        scene.answer(forged)
    assert len(scene.updates()) == 1
