"""P2 under attack by people: whoever has no role, has one no more, or counts twice, lets nothing run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.decide import approve, deny
from datasites.requests.records import Request, Status
from datasites.requests.review import draft_decision
from datasites.store.data_sets import require_data_set
from policies.budget.costs import request_cost
from policies.decision import Decision, SignedDecision, SignedDecisions, sign_decision
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.log.entries import DecisionTaken
from policies.log.journal import append
from policies.people.appointment import SignedAppointment
from tests.attacks.closed_doors import assert_nothing_runs
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY
from tests.site_people import Holder, appointment, ask_for, fire, hire

ELSEWHERE = "b" * 64


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def signed(
    scene: Scene, request: Request, key: Ed25519PrivateKey, appointed: SignedAppointment | None, **changes: object
) -> SignedDecision:
    """An approval of `request` as it stands."""
    with scene.site.engine.begin() as connection:
        data_set = require_data_set(connection, request.data_set)
    cost = request_cost(request.terms, data_set.filter_order)
    wanted = scene.site.house_rules().approvals.studies
    decision = draft_decision(
        scene.site, request, data_set, cost, approvals=wanted, verdict="approve", reason="ok", now=scene.now
    )
    return sign_decision(key, Decision(**(decision.model_dump() | changes)), appointed)


def of(scene: Scene, request: Request, holder: Holder, **changes: object) -> SignedDecision:
    """The same by somebody with a genuine appointment as reviewer."""
    return signed(scene, request, holder.key, genuine(scene, holder), **changes)


def genuine(scene: Scene, holder: Holder) -> SignedAppointment:
    """The appointment that the database holds of somebody."""
    with scene.site.engine.begin() as connection:
        text = connection.exec_driver_sql("SELECT appointment FROM people WHERE key = ?", (holder.public,)).scalar_one()
    return SignedAppointment.model_validate_json(text)


def store(scene: Scene, *decisions: SignedDecision) -> None:
    """Write the decisions into the first request's row, as if they had been taken."""
    taken = SignedDecisions(signed=decisions).canonical().decode()
    scene.tamper("UPDATE requests SET status = 'approved', decision = :taken WHERE number = 1", taken=taken)


def approve_as(scene: Scene, request: Request, key: Ed25519PrivateKey) -> Request:
    digest = scene.shown_digest(request)
    with scene.site.engine.begin() as connection:
        return approve(connection, scene.site, digest, key)


def never_appointed(scene: Scene) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def an_auditor(scene: Scene) -> Ed25519PrivateKey:
    return hire(scene, Holder("Cem"), "auditor").key


def dismissed(scene: Scene) -> Ed25519PrivateKey:
    bea = hire(scene, Holder("Bea"))
    fire(scene, bea)
    return bea.key


def who_asked(scene: Scene) -> Ed25519PrivateKey:
    return hire(scene, Holder("Ada"), researcher=scene.researcher.party).key


def who_asked_by_their_own_key(scene: Scene) -> Ed25519PrivateKey:
    """The owner appointed the very key that the researcher signs messages by, before it was pinned."""
    ada = Holder("Ada", scene.researcher.signing)
    appointed = appointment(scene.owner_key, scene.site.identity.party, ada)
    insert(scene, ada, appointed)
    return ada.key


def appointed_by_themselves(scene: Scene) -> Ed25519PrivateKey:
    eve = Holder("Eve")
    insert(scene, eve, appointment(eve.key, scene.site.identity.party, eve))
    return eve.key


def appointed_elsewhere(scene: Scene) -> Ed25519PrivateKey:
    """The same owner's reviewer at another datasite."""
    eve = Holder("Eve")
    insert(scene, eve, appointment(scene.owner_key, ELSEWHERE, eve))
    return eve.key


def insert(scene: Scene, holder: Holder, appointed: SignedAppointment) -> None:
    text = appointed.canonical().decode()
    scene.tamper("INSERT INTO people (key, appointment) VALUES (:key, :text)", key=holder.public, text=text)


@pytest.mark.parametrize(
    "whose",
    [
        never_appointed,
        an_auditor,
        dismissed,
        who_asked,
        who_asked_by_their_own_key,
        appointed_by_themselves,
        appointed_elsewhere,
    ],
)
def test_nobody_decides_without_a_role_that_lets_them(
    scene: Scene, whose: Callable[[Scene], Ed25519PrivateKey]
) -> None:
    ask_for(scene, studies=2)
    request, key = scene.submit(), whose(scene)
    digest = scene.shown_digest(request)
    with pytest.raises(CloisterError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, key)
    with pytest.raises(CloisterError), scene.site.engine.begin() as connection:
        deny(connection, scene.site, 1, "no", key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == scene.count("approvals") == 0


def after_the_dismissal(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    bea = hire(scene, Holder("Bea"))
    fire(scene, bea)
    return (of(scene, request, bea),)


def dated_before_the_dismissal(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    """Whoever can write the database can date a decision as they like; the log never had it."""
    bea = hire(scene, Holder("Bea"))
    scene.clock.seconds += 100
    fire(scene, bea)
    return (of(scene, request, bea, decided_at=scene.now - 50),)


def logged_after_the_dismissal(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    (decision,) = dated_before_the_dismissal(scene, request)
    with scene.site.engine.begin() as connection:
        append(connection, DecisionTaken(at=decision.decision.decided_at, signed=decision))
    return (decision,)


def by_an_auditor(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    return (of(scene, request, hire(scene, Holder("Cem"), "auditor")),)


def by_somebody_self_appointed(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    eve = Holder("Eve")
    return (signed(scene, request, eve.key, appointment(eve.key, scene.site.identity.party, eve)),)


def by_another_sites_reviewer(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    eve = Holder("Eve")
    return (signed(scene, request, eve.key, appointment(scene.owner_key, ELSEWHERE, eve)),)


def under_an_appointment_never_made_here(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    eve = Holder("Eve")
    return (signed(scene, request, eve.key, appointment(scene.owner_key, scene.site.identity.party, eve)),)


def as_a_reviewer_what_an_auditor_is(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    """The owner once signed another appointment of the same key; it is not the one that was made."""
    cem = hire(scene, Holder("Cem"), "auditor")
    return (signed(scene, request, cem.key, appointment(scene.owner_key, scene.site.identity.party, cem)),)


def by_who_asked(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    return (of(scene, request, hire(scene, Holder("Ada"), researcher=scene.researcher.party)),)


def one_of_two(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    return (of(scene, request, hire(scene, Holder("Bea")), approvals=2),)


def one_person_twice(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    bea = hire(scene, Holder("Bea"))
    return tuple(of(scene, request, bea, approvals=2, reason=reason) for reason in ("one", "two"))


def one_person_with_two_keys(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    old = hire(scene, Holder("Bea"))
    first = of(scene, request, old, approvals=2)
    with scene.site.engine.begin() as connection:
        append(connection, DecisionTaken(at=first.decision.decided_at, signed=first))
    fire(scene, old)
    return (first, of(scene, request, hire(scene, Holder("BEA")), approvals=2))


def a_forged_second(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    forged = of(scene, request, cem, approvals=2).model_copy(update={"signature": "0" * 128})
    return (of(scene, request, bea, approvals=2), forged)


def the_second_by_the_firsts_key(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    forged = signed(scene, request, bea.key, genuine(scene, cem), approvals=2)
    return (of(scene, request, bea, approvals=2), forged.model_copy(update={"signer": cem.public}))


def the_second_on_something_else(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    other = of(scene, request, cem, approvals=2, training_units=1)
    return (of(scene, request, bea, approvals=2), other)


def on_another_snapshot(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    return (of(scene, request, hire(scene, Holder("Bea")), snapshot_commitment="5" * 64),)


@pytest.mark.parametrize(
    "stored",
    [
        after_the_dismissal,
        dated_before_the_dismissal,
        logged_after_the_dismissal,
        by_an_auditor,
        by_who_asked,
        by_somebody_self_appointed,
        by_another_sites_reviewer,
        under_an_appointment_never_made_here,
        as_a_reviewer_what_an_auditor_is,
        one_of_two,
        one_person_twice,
        one_person_with_two_keys,
        a_forged_second,
        the_second_by_the_firsts_key,
        the_second_on_something_else,
        on_another_snapshot,
    ],
)
def test_a_stored_decision_that_people_did_not_take_runs_nothing(
    scene: Scene, stored: Callable[[Scene, Request], tuple[SignedDecision, ...]]
) -> None:
    request = scene.submit()
    store(scene, *stored(scene, request))
    expected = RefusedError if stored in (by_an_auditor, by_who_asked) else NotAuthenticError
    assert_nothing_runs(scene, request, expected)


def waiting(scene: Scene, subject: str, decision: SignedDecision) -> None:
    """Write an approval that waits, behind the datasite's back."""
    scene.tamper(
        "INSERT INTO approvals (request, subject, signer, statement) VALUES (:it, :subject, :signer, :text)",
        it=decision.decision.request,
        subject=subject,
        signer=decision.signer,
        text=decision.canonical().decode(),
    )


def with_a_forged_signature(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, request, hire(scene, Holder("Bea"))).model_copy(update={"signature": "0" * 128})


def of_another_request(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, scene.submit(OTHER_STUDY), hire(scene, Holder("Bea")))


def over_another_digest(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, request, hire(scene, Holder("Bea")), evaluation_units=0)


def of_somebody_never_appointed(scene: Scene, request: Request) -> SignedDecision:
    eve = Holder("Eve")
    return signed(scene, request, eve.key, appointment(scene.owner_key, scene.site.identity.party, eve))


@pytest.mark.parametrize(
    "forged", [with_a_forged_signature, of_another_request, over_another_digest, of_somebody_never_appointed]
)
def test_an_approval_written_into_the_database_is_nobodys(
    scene: Scene, forged: Callable[[Scene, Request], SignedDecision]
) -> None:
    ask_for(scene, studies=3)
    request = scene.submit()
    subject = scene.shown_digest(request)
    decision = forged(scene, request)
    waiting(scene, subject, decision)
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, subject, scene.owner_key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == 0


def test_ones_own_approval_under_another_name_is_still_ones_own(scene: Scene) -> None:
    ask_for(scene, studies=2)
    request = scene.submit()
    approve_as(scene, request, scene.owner_key)
    scene.tamper("UPDATE approvals SET signer = :other", other="1" * 64)
    with pytest.raises(CloisterError):
        approve_as(scene, request, scene.owner_key)
    assert scene.request(request.digest).status is Status.PENDING


def test_a_dismissal_wiped_out_of_the_database_still_stands_in_the_log(scene: Scene) -> None:
    request, bea = scene.submit(), hire(scene, Holder("Bea"))
    fire(scene, bea)
    scene.tamper("UPDATE people SET dismissal = NULL")
    approve_as(scene, request, bea.key)
    (broken, *_) = scene.audit().broken
    assert "Bea was dismissed" in broken.reason
