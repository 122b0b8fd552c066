"""An approval is taken back that house rules had measured others by: these end with it, in the same transaction."""

import pytest

from datasites.protocol.messages import StudyStatus
from datasites.requests.records import Request, Status
from policies.log.budget_entries import ReservationClosed
from policies.log.entries import RequestClosed
from policies.log.journal import entries
from tests.attacks.ruled_site import SMALL, asked, automatic
from tests.halting import reserved, revoke
from tests.one_site import Scene

REASON = "The approval it rests on was revoked: Consent was withdrawn."


def ended(scene: Scene, request: Request) -> list[type]:
    """What the log says of the end of `request`."""
    with scene.site.engine.begin() as connection:
        found = [entry for _, entry in entries(connection)]
    return [
        type(it) for it in found if isinstance(it, ReservationClosed | RequestClosed) and it.request == request.digest
    ]


@pytest.mark.both_databases
def test_what_rests_on_a_revoked_approval_ends_with_it_and_its_researcher_is_told(scene: Scene) -> None:
    automatic(scene)
    first, second, third = scene.approved(**SMALL), asked(scene), asked(scene, "3" * 32)
    scene.set_up(second)
    scene.ask(second, 1)
    assert scene.charge() is not None
    other = scene.approved("4" * 32, **SMALL)
    done = revoke(scene, first)
    assert done.with_it == (second.number, third.number)
    for request in (second, third):
        stored = scene.request(request.digest)
        assert (stored.status, stored.detail) == (Status.REVOKED, REASON)
        assert ended(scene, request) == [ReservationClosed, RequestClosed]
    told = {it.study: (it.status, it.detail) for it in scene.letters(StudyStatus) if isinstance(it, StudyStatus)}
    assert told[second.terms.study] == told[third.terms.study] == ("revoked", REASON)
    assert scene.request(other.digest).status is Status.APPROVED
    assert scene.balance().training.spent_units > 0
    revoke(scene, other)
    assert reserved(scene) == (0, 0)
    assert scene.audit().broken == []


def test_what_is_done_is_answered_no_more(scene: Scene) -> None:
    automatic(scene)
    first, second = scene.approved(**SMALL), asked(scene)
    scene.set_up(second)
    for number in range(1, second.terms.sums + 1):
        scene.compute(second, number)
    assert scene.request(second.digest).status is Status.DONE
    scene.send_all()
    assert [it.what for it in revoke(scene, first).went_out] == [
        f"the answer to round {number}" for number in range(1, second.terms.sums + 1)
    ]
    assert scene.request(second.digest).status is Status.REVOKED
    assert scene.audit().broken == []
