"""P2 by the house rules: nothing is approved because of a precedent that people never approved, or took back."""

from pathlib import Path

import pytest

from datasites.halts.revoke import revoke
from datasites.requests.records import Request, Status
from policies.decision import SignedDecisions
from policies.errors import RefusedError
from tests.attacks.ruled_site import SMALL, asked, by_rules, new_ruled_scene
from tests.attacks.signed_by_people import of
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY
from tests.site_people import Holder, fire, hire


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_ruled_scene(tmp_path, database)


def store_as_done(scene: Scene, request: Request, holder: Holder) -> None:
    """Somebody with a genuine appointment signs by hand, and writes it into the database."""
    taken = SignedDecisions(signed=(of(scene, request, holder),)).canonical().decode()
    scene.tamper("UPDATE requests SET status = 'done', decision = :taken WHERE number = 1", taken=taken)


def assert_waits(scene: Scene) -> None:
    assert asked(scene).status is Status.PENDING
    assert by_rules(scene) == []


def test_a_precedent_by_a_dismissed_reviewer_carries_nothing(scene: Scene) -> None:
    request, bea = scene.submit(**SMALL), hire(scene, Holder("Bea"))
    fire(scene, bea)
    store_as_done(scene, request, bea)
    assert_waits(scene)


def test_a_precedent_that_the_log_does_not_hold_carries_nothing(scene: Scene) -> None:
    request, bea = scene.submit(**SMALL), hire(scene, Holder("Bea"))
    store_as_done(scene, request, bea)
    assert_waits(scene)


def test_a_revoked_precedent_carries_nothing_whatever_its_row_says(scene: Scene) -> None:
    first = scene.approved(**SMALL)
    with scene.site.engine.begin() as connection:
        revoke(connection, scene.site, first.number, "Consent was withdrawn.", scene.owner_key)
    scene.tamper("UPDATE requests SET status = 'done' WHERE number = 1")
    assert_waits(scene)


def test_a_precedent_of_fewer_persons_than_the_rules_now_ask_for_carries_nothing(scene: Scene) -> None:
    scene.approved(**SMALL)
    scene.rule("studies = 1", "studies = 2")
    assert_waits(scene)
    assert scene.audit().broken == []


def test_what_a_genuine_precedent_carries_ends_with_it(scene: Scene) -> None:
    first = scene.approved(**SMALL)
    second = asked(scene, OTHER_STUDY)
    assert second.status is Status.APPROVED
    with scene.site.engine.begin() as connection:
        revoke(connection, scene.site, first.number, "Consent was withdrawn.", scene.owner_key)
    with pytest.raises(RefusedError, match="revoked"):
        scene.start(second)
