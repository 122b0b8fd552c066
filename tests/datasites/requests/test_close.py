"""Requests end by expiry, withdrawal or failure, and what they never used goes back."""

import numpy as np
import pytest

from datasites.execution.answer_round import answer_round
from datasites.execution.trainer_result import RoundResult
from datasites.protocol.messages import StudyClose
from datasites.requests.close import close_expired, close_request
from datasites.requests.finish_check import admit
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from policies.errors import RefusedError
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY, PARAMETERS, STUDY


def computed() -> RoundResult:
    """What the trainer gave for the first round."""
    return RoundResult(np.array([20.0, 5.0]), iter((np.zeros(PARAMETERS, np.float32),)), ("seccomp",))


def give_up(scene: Scene, study: str = STUDY, sender: str = "", reason: str = "no time") -> None:
    with scene.site.engine.begin() as connection:
        withdraw(connection, sender or scene.researcher.party, StudyClose(study=study, reason=reason), scene.now)


def expire(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        close_expired(connection, scene.now, None)


def reserved(scene: Scene) -> tuple[int, int]:
    left = scene.balance()
    return left.training.reserved_units, left.evaluation.reserved_units


def at_status(scene: Scene, status: Status) -> Request:
    match status:
        case Status.RECEIVED:
            return scene.receive(scene.terms())
        case Status.PENDING:
            return scene.submit()
        case Status.APPROVED:
            return scene.approved()
    request = scene.ready()
    scene.compute(request, 1)
    return request


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING])
@pytest.mark.parametrize("end", ["expiry", "withdrawal"])
def test_whatever_is_open_ends_and_returns_what_is_left(scene: Scene, status: Status, end: str) -> None:
    request = at_status(scene, status)
    spent = scene.balance().training.spent_units
    assert (spent > 0) == (status is Status.RUNNING)
    if end == "expiry":
        scene.clock.seconds = request.terms.expires_at
        expire(scene)
    else:
        give_up(scene)
    after = scene.request(request.digest)
    assert after.status is (Status.EXPIRED if end == "expiry" else Status.CLOSED)
    assert reserved(scene) == (0, 0)
    assert scene.balance().training.spent_units == spent
    assert scene.letters()[-1].status == after.status
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_a_study_lives_until_the_second_of_its_expiry(scene: Scene) -> None:
    request = scene.approved()
    scene.clock.seconds = request.terms.expires_at - 1
    expire(scene)
    assert scene.request(request.digest).status is Status.APPROVED
    scene.clock.seconds += 1
    expire(scene)
    assert scene.request(request.digest).status is Status.EXPIRED


def test_what_has_ended_stays_as_it_ended(scene: Scene) -> None:
    request = scene.approved()
    give_up(scene)
    letters, entries = scene.count("outbox"), scene.count("log_entries")
    give_up(scene, reason="again")
    scene.clock.seconds = request.terms.expires_at + 1
    expire(scene)
    assert scene.request(request.digest).status is Status.CLOSED
    assert (scene.count("outbox"), scene.count("log_entries")) == (letters, entries)


def test_nobody_closes_the_study_of_another(scene: Scene) -> None:
    request = scene.approved()
    with pytest.raises(RefusedError):
        give_up(scene, sender=scene.other_researcher.party)
    with pytest.raises(RefusedError):
        give_up(scene, study=OTHER_STUDY)
    assert scene.request(request.digest).status is Status.APPROVED
    assert reserved(scene) != (0, 0)


def test_the_longest_reason_that_a_message_can_carry_closes_the_study(scene: Scene) -> None:
    request = scene.approved()
    give_up(scene, reason="x" * 2_000)
    assert scene.request(request.digest).status is Status.CLOSED


def test_the_check_ends_in_pending_or_in_refused_with_its_reason(scene: Scene) -> None:
    first, second = scene.receive(scene.terms()), scene.receive(scene.terms(OTHER_STUDY))
    with scene.site.engine.begin() as connection:
        admit(connection, scene.site, first)
        close_request(connection, second.digest, Status.REFUSED, "Its loss needs 9 GB.", scene.now)
    assert scene.request(first.digest).status is Status.PENDING
    after = scene.request(second.digest)
    assert (after.status, after.detail) == (Status.REFUSED, "Its loss needs 9 GB.")
    assert [it.status for it in scene.letters()] == ["received", "received", "pending", "refused"]


def test_a_round_that_waits_ends_with_its_study_and_holds_up_no_other(scene: Scene) -> None:
    waiting = scene.ready(privacy={"epsilon": 4.0})
    other = scene.ready(OTHER_STUDY, privacy={"epsilon": 4.0})
    scene.ask(waiting, 1)
    scene.ask(other, 1)
    give_up(scene)
    assignment = scene.charge()
    assert assignment is not None
    assert assignment.request.digest == other.digest


def test_an_answer_that_no_witness_knows_of_yet_ends_with_its_study(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    answer_round(scene.site, assignment, computed())
    give_up(scene)
    scene.witness()
    assert scene.updates() == []
    assert scene.audit().broken == []
    assert reserved(scene) == (0, 0)


def test_an_answer_that_no_witness_knows_of_when_the_study_expires_is_never_sent(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    answer_round(scene.site, assignment, computed())
    scene.clock.seconds = request.terms.expires_at
    scene.witness()
    assert scene.updates() == []
    with scene.site.engine.begin() as connection:
        close_expired(connection, scene.now, None)
    assert scene.request(request.digest).status is Status.EXPIRED
    assert scene.audit().broken == []
