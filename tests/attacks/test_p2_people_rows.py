"""P2 under attack in the database by people: a stored decision that enough people in role did not take runs nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datasites.requests.records import Request
from policies.decision import SignedDecision, SignedDecisions
from policies.errors import NotAuthenticError, RefusedError
from policies.log.entries import DecisionTaken
from policies.log.journal import append
from tests.attacks.closed_doors import assert_nothing_runs
from tests.attacks.signed_by_people import ELSEWHERE, genuine, of, signed
from tests.one_site import Scene, new_scene
from tests.site_people import Holder, appointment, ask_for, fire, hire


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def store(scene: Scene, *decisions: SignedDecision) -> None:
    """Write the decisions into the first request's row, as if they had been taken."""
    taken = SignedDecisions(signed=decisions).canonical().decode()
    scene.tamper("UPDATE requests SET status = 'approved', decision = :taken WHERE number = 1", taken=taken)


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
    ask_for(scene, studies=2)
    return (of(scene, request, hire(scene, Holder("Bea"))),)


def one_person_twice(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    bea = hire(scene, Holder("Bea"))
    return tuple(of(scene, request, bea, reason=reason) for reason in ("one", "two"))


def one_person_with_two_keys(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    old = hire(scene, Holder("Bea"))
    first = of(scene, request, old)
    with scene.site.engine.begin() as connection:
        append(connection, DecisionTaken(at=first.decision.decided_at, signed=first))
    fire(scene, old)
    return (first, of(scene, request, hire(scene, Holder("BEA"))))


def a_forged_second(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    forged = of(scene, request, cem).model_copy(update={"signature": "0" * 128})
    return (of(scene, request, bea), forged)


def the_second_by_the_firsts_key(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    forged = signed(scene, request, bea.key, genuine(scene, cem))
    return (of(scene, request, bea), forged.model_copy(update={"signer": cem.public}))


def the_second_on_something_else(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    other = of(scene, request, cem, training_units=1)
    return (of(scene, request, bea), other)


def alone_where_the_rules_ask_for_two(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, studies=2)
    return (of(scene, request, hire(scene, Holder("Bea")), approvals=1),)


def by_somebody_whom_the_rules_leave_out(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    ask_for(scene, approvers=["the owner"])
    return (of(scene, request, hire(scene, Holder("Bea"))),)


def under_rules_never_adopted(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    return (of(scene, request, hire(scene, Holder("Bea")), house_rules="5" * 64),)


def alone_under_rules_that_held_before(scene: Scene, request: Request) -> tuple[SignedDecision, ...]:
    """Every site once had rules by which one person was enough."""
    before = scene.rules().digest
    ask_for(scene, studies=2)
    return (of(scene, request, hire(scene, Holder("Bea")), approvals=1, house_rules=before),)


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
        alone_under_rules_that_held_before,
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


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (alone_where_the_rules_ask_for_two, "not taken by whom the house rules asked for"),
        (by_somebody_whom_the_rules_leave_out, "not taken by whom the house rules asked for"),
        (under_rules_never_adopted, "did not hold when it was taken"),
        (alone_under_rules_that_held_before, "did not hold when it was taken"),
    ],
)
def test_a_decision_against_the_house_rules_runs_nothing_even_if_the_log_has_it(
    scene: Scene, stored: Callable[[Scene, Request], tuple[SignedDecision, ...]], reason: str
) -> None:
    """A genuine reviewer, signing by hand, who can write into database and log."""
    request = scene.submit()
    (decision,) = stored(scene, request)
    with scene.site.engine.begin() as connection:
        append(connection, DecisionTaken(at=decision.decision.decided_at, signed=decision))
    store(scene, decision)
    with pytest.raises(NotAuthenticError, match=reason):
        scene.start(request)
    assert_nothing_runs(scene, request, NotAuthenticError)
    assert scene.audit().broken
