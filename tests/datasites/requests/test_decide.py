"""A decision is one signed change: reservation, status, log and answer together, or nothing."""

import pytest

from datasites.requests.decide import approve, deny
from datasites.requests.records import Request, Status
from policies.decision import verify_decisions
from policies.errors import ConflictError, InvalidInputError, RefusedError
from policies.log.budget_entries import ReservationOpened
from policies.log.entries import DecisionTaken, RequestClosed
from policies.log.journal import entries
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY


def refuse(scene: Scene, request: Request, reason: str = "not for us") -> Request:
    with scene.site.engine.begin() as connection:
        return deny(connection, scene.site, request.number, reason, scene.owner_key)


def kinds(scene: Scene) -> list[str]:
    with scene.site.engine.begin() as connection:
        return [entry.kind for _, entry in entries(connection)]


def test_an_approval_is_signed_reserved_logged_and_told(scene: Scene) -> None:
    request = scene.approved()
    owner = scene.owner_key.public_key().public_bytes_raw()
    assert request.status is Status.APPROVED
    assert request.decision is not None
    decision = verify_decisions(request.decision, owner, scene.researcher.party)
    left = scene.balance()
    assert (decision.verdict, decision.request) == ("approve", request.digest)
    assert left.training.reserved_units == decision.training_units > 0
    assert left.evaluation.reserved_units == decision.evaluation_units > 0
    assert kinds(scene)[-2:] == ["decision-taken", "reservation-opened"]
    told = scene.letters()[-1]
    assert (told.status, told.decision) == ("approved", request.decision)
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_a_denial_reserves_nothing_and_is_told_with_its_reason(scene: Scene) -> None:
    request = refuse(scene, scene.submit())
    after = scene.request(request.digest)
    assert after.status is Status.DENIED
    assert after.decision is not None
    assert after.decision.decision.verdict == "deny"
    assert scene.count("reservations") == 0
    assert "not for us" in scene.letters()[-1].detail
    assert scene.audit().broken == []


def test_a_decision_is_final(scene: Scene) -> None:
    denied, approved = refuse(scene, scene.submit()), scene.approved(OTHER_STUDY)
    for request in (denied, approved):
        with pytest.raises(ConflictError):
            refuse(scene, request)
        digest = scene.shown_digest(request)
        with pytest.raises(RefusedError), scene.site.engine.begin() as connection:
            approve(connection, scene.site, digest, scene.owner_key)
    assert kinds(scene).count("decision-taken") == 2


def test_what_was_not_checked_yet_cannot_be_decided(scene: Scene) -> None:
    request = scene.receive(scene.terms())
    digest = scene.shown_digest(request)
    with pytest.raises(RefusedError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, scene.owner_key)
    with pytest.raises(ConflictError):
        refuse(scene, request)


def test_an_obstacle_forbids_the_approval_and_changes_nothing(scene: Scene) -> None:
    request = scene.submit()
    scene.rule("maximum_epsilon = 10.0", "maximum_epsilon = 1.0")
    digest, entries_before = scene.shown_digest(request), scene.count("log_entries")
    with pytest.raises(RefusedError, match="cannot be approved"), scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, scene.owner_key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == 0
    assert scene.count("log_entries") == entries_before


def test_there_is_no_such_request(scene: Scene) -> None:
    with pytest.raises(InvalidInputError), scene.site.engine.begin() as connection:
        deny(connection, scene.site, 7, "no", scene.owner_key)


@pytest.mark.parametrize("reason", ["", "x" * 1_990, "x" * 5_000, "a\x1b[2Jb"])
def test_whatever_the_reason_it_is_told_as_far_as_it_can_be(scene: Scene, reason: str) -> None:
    request = refuse(scene, scene.submit(), reason)
    after = scene.request(request.digest)
    assert after.status is Status.DENIED
    assert scene.letters()[-1].detail == after.detail
    assert "\x1b" not in after.detail
    assert scene.audit().broken == []


def test_a_denied_request_keeps_its_terms_and_drops_its_parameter_file(scene: Scene) -> None:
    request = refuse(scene, scene.submit())
    assert scene.request(request.digest).parameters_file is None
    assert scene.request(request.digest).terms == request.terms


def test_decision_and_reservation_agree_in_the_log(scene: Scene) -> None:
    scene.approved()
    with scene.site.engine.begin() as connection:
        found = [entry for _, entry in entries(connection)]
    (taken,) = [it for it in found if isinstance(it, DecisionTaken)]
    (opened,) = [it for it in found if isinstance(it, ReservationOpened)]
    assert taken.signed.decision.training_units == opened.training_units
    assert not [it for it in found if isinstance(it, RequestClosed)]
