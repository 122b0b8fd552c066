"""Where the house rules ask for two persons, a request waits for the second, and nobody outside hears of the first."""

import pytest

from datasites.people.approvals import Approvals
from datasites.protocol.messages import StudyClose, StudyStatus
from datasites.requests.decide import approve, deny
from datasites.requests.records import Request, Status
from datasites.requests.review import study_approvals
from datasites.requests.withdraw import withdraw
from policies.errors import ConflictError, RefusedError
from policies.log.entries import DecisionTaken
from policies.log.journal import entries
from tests.one_site import Scene
from tests.site_people import Holder, ask_for, fire, hire


@pytest.fixture
def bea(scene: Scene) -> Holder:
    ask_for(scene, studies=2)
    return hire(scene, Holder("Bea"))


def approve_as(scene: Scene, request: Request, holder: Holder) -> Request:
    digest = scene.shown_digest(request)
    with scene.site.engine.begin() as connection:
        return approve(connection, scene.site, digest, holder.key)


def approvals(scene: Scene, request: Request) -> Approvals:
    stored = scene.request(request.digest)
    with scene.site.engine.begin() as connection:
        return study_approvals(connection, scene.site, stored)


def decisions(scene: Scene) -> int:
    with scene.site.engine.begin() as connection:
        return sum(isinstance(entry, DecisionTaken) for _, entry in entries(connection))


def told(scene: Scene) -> list[str]:
    return [it.status for it in scene.letters(StudyStatus) if isinstance(it, StudyStatus)]


def test_the_second_approval_takes_the_decision(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    before = told(scene)
    assert approvals(scene, request) == Approvals((), 2)
    assert approve_as(scene, request, bea).status is Status.PENDING
    assert (approvals(scene, request), approvals(scene, request).missing) == (Approvals(("Bea",), 2), 1)
    assert (decisions(scene), scene.count("reservations"), told(scene)) == (1, 0, before)
    approved = scene.approve(request)
    assert approved.status is Status.APPROVED
    assert approved.decision is not None
    assert [it.signer for it in approved.decision.signed] == [
        bea.public,
        scene.owner_key.public_key().public_bytes_raw().hex(),
    ]
    assert approvals(scene, request) == Approvals(("Bea", "the owner"), 2)
    assert (decisions(scene), scene.count("reservations"), scene.count("approvals")) == (2, 1, 0)
    assert approved.detail == "Approved by Bea and the owner."
    assert scene.letters(StudyStatus)[-1].decision == approved.decision  # type: ignore[union-attr]
    scene.set_up(approved)
    scene.compute(approved, 1)
    report = scene.audit()
    assert report.broken == []
    assert "Signed by: Bea 1, the owner 1." in " ".join(report.proved)


def test_one_person_counts_once(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    approve_as(scene, request, bea)
    with pytest.raises(ConflictError, match="You approved this already"):
        approve_as(scene, request, bea)
    assert (decisions(scene), scene.request(request.digest).status) == (1, Status.PENDING)


@pytest.mark.both_databases
def test_one_denial_ends_it(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    approve_as(scene, request, bea)
    with scene.site.engine.begin() as connection:
        denied = deny(connection, scene.site, request.number, "not for us", bea.key)
    assert (denied.status, denied.detail, scene.count("approvals")) == (Status.DENIED, "Bea denied: not for us", 0)
    assert approvals(scene, request).by == ()
    assert scene.audit().broken == []


def test_who_was_dismissed_does_not_count_any_more(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    approve_as(scene, request, bea)
    fire(scene, bea)
    assert approvals(scene, request) == Approvals((), 2)
    assert scene.approve(request).status is Status.PENDING
    with pytest.raises(RefusedError, match="was dismissed"):
        approve_as(scene, request, bea)
    approved = approve_as(scene, request, hire(scene, Holder("Bea")))
    assert approved.detail == "Approved by the owner and Bea."
    assert scene.audit().broken == []


def test_an_approval_stands_after_its_signer_left(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    approve_as(scene, request, bea)
    approved = scene.approve(request)
    scene.clock.seconds += 10
    fire(scene, bea)
    scene.set_up(approved)
    scene.compute(approved, 1)
    assert scene.audit().broken == []


def test_an_approval_is_of_what_was_asked_for_then(scene: Scene, bea: Holder) -> None:
    """After other rules were adopted, what waits counts for nothing, even if they ask for as many again."""
    request = scene.submit()
    approve_as(scene, request, bea)
    ask_for(scene, studies=3)
    assert approvals(scene, request) == Approvals((), 3)
    ask_for(scene, studies=2)
    assert approvals(scene, request) == Approvals((), 2)
    assert scene.approve(request).status is Status.PENDING
    assert approve_as(scene, request, bea).detail == "Approved by the owner and Bea."
    assert scene.count("approvals") == 0


def test_what_ends_leaves_no_approval_behind(scene: Scene, bea: Holder) -> None:
    request = scene.submit()
    approve_as(scene, request, bea)
    with scene.site.engine.begin() as connection:
        close = StudyClose(study=request.terms.study, reason="Not needed.")
        withdraw(connection, scene.researcher.party, close, scene.now)
    assert scene.count("approvals") == 0


def test_the_house_rules_name_who_decides(scene: Scene, bea: Holder) -> None:
    ask_for(scene, studies=1, approvers='["bea"]')
    request = scene.submit()
    with pytest.raises(RefusedError, match="the owner is not among them"):
        scene.approve(request)
    assert approve_as(scene, request, bea).status is Status.APPROVED
