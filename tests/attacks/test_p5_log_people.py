"""Attacks on P5 by people: a dishonest site logs decisions by whoever had no role, or too few of those who had."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.decision import sign_decision
from policies.jobs.decision import sign_job_decision
from policies.jobs.release import sign_release
from policies.log import entries as log
from policies.log.job_entries import JobDecided, ReleaseDecided
from policies.log.people_entries import PersonAppointed, PersonDismissed
from policies.people.appointment import AppointedRole, Dismissal, SignedAppointment, sign_dismissal
from policies.people.rules import ApprovalRules
from policies.statements.digests import party_of
from tests.attacks.honest_job_log import jobs_under, sent, started, word
from tests.attacks.honest_log import (
    ADOPTED,
    APPROVED,
    DECISION,
    FACTS,
    HONEST,
    OWNER,
    RECEIVED,
    RESEARCHER,
    RESERVED,
    RULES,
    Entries,
    verify,
)
from tests.attacks.honest_rules_log import adopted, adoption
from tests.site_people import Holder, appointment

BEA, CEM, EVE = Holder("Bea"), Holder("Cem"), Holder("Eve")


def appointed(
    holder: Holder, role: AppointedRole = "reviewer", by: Ed25519PrivateKey = OWNER, **changes: object
) -> PersonAppointed:
    site = str(changes.pop("site", FACTS.site))
    return PersonAppointed(at=20, signed=appointment(by, site, holder, role, **changes))


def dismissed(holder: Holder, by: Ed25519PrivateKey = OWNER) -> PersonDismissed:
    dismissal = Dismissal(
        version="cloister-dismissal/1", site=FACTS.site, key=holder.public, reason="Left.", dismissed_at=99
    )
    return PersonDismissed(at=99, signed=sign_dismissal(by, dismissal))


def by(holder: Holder, role: PersonAppointed | SignedAppointment, **changes: object) -> log.DecisionTaken:
    signed = role.signed if isinstance(role, PersonAppointed) else role
    return log.DecisionTaken(at=101, signed=sign_decision(holder.key, DECISION.model_copy(update=changes), signed))


TWO = adoption(RULES.rules.model_copy(update={"approvals": ApprovalRules(studies=2)}))
BY_TWO = {"approvals": 2, "house_rules": TWO.digest()}
"""What a decision states where two must approve."""


def by_owner(**changes: object) -> log.DecisionTaken:
    return log.DecisionTaken(at=101, signed=sign_decision(OWNER, DECISION.model_copy(update=changes)))


def log_of(people: Entries, *decisions: log.LogEntry) -> Entries:
    """The honest log with people appointed before the request came, and other decisions on it."""
    swaps: dict[int, Entries] = {id(RECEIVED): [*people, RECEIVED], id(APPROVED): list(decisions)}
    return [entry for old in HONEST for entry in swaps.get(id(old), [old])]


def log_of_two(people: Entries, *decisions: log.LogEntry) -> Entries:
    """The same of a site whose house rules ask for two persons."""
    return [adopted(TWO) if entry == ADOPTED else entry for entry in log_of(people, *decisions)]


REVIEWER, ALSO = appointed(BEA), appointed(CEM)
AUDITOR = appointed(CEM, "auditor")
SECOND_KEY = Holder("bea")
SIGNED_TWICE = by(BEA, REVIEWER, **BY_TWO)
FORGED = SIGNED_TWICE.model_copy(
    update={"signed": SIGNED_TWICE.signed.model_copy(update={"signature": by_owner(**BY_TWO).signed.signature})}
)
ASKED = appointed(BEA, researcher=RESEARCHER)
PINNED_AS_PARTY = log.PeerPinned(
    at=30, party=party_of(bytes.fromhex(BEA.public)), name="Bea too", role="researcher", card="ee" * 32
)


def test_what_two_people_approved_is_found_sound() -> None:
    report = verify(log_of_two([REVIEWER], by_owner(**BY_TWO), SIGNED_TWICE))
    assert report.broken == []
    assert "Signed by: Bea 1, the owner 1." in " ".join(report.proved)
    alone = verify(log_of([REVIEWER], by(BEA, REVIEWER)))
    assert alone.broken == []


def test_what_was_approved_in_role_stands_after_a_dismissal() -> None:
    assert verify([*log_of([REVIEWER], by(BEA, REVIEWER)), dismissed(BEA)]).broken == []
    assert verify(log_of_two([REVIEWER], by_owner(**BY_TWO), SIGNED_TWICE, dismissed(BEA))).broken == []


ATTACKS: dict[str, tuple[Entries, log.LogEntry, str]] = {
    "lets a dismissed reviewer decide": (
        log_of([REVIEWER, dismissed(BEA)], by(BEA, REVIEWER)),
        by(BEA, REVIEWER),
        "Bea was dismissed",
    ),
    "lets an auditor decide": (log_of([AUDITOR], by(CEM, AUDITOR)), by(CEM, AUDITOR), "may not decide"),
    "lets somebody appoint themselves": (
        log_of([], by(EVE, appointed(EVE, by=EVE.key))),
        by(EVE, appointed(EVE, by=EVE.key)),
        "another owner key",
    ),
    "logs that somebody appointed themselves": (
        log_of([appointed(EVE, by=EVE.key)], APPROVED),
        appointed(EVE, by=EVE.key),
        "another owner key",
    ),
    "lets another site's reviewer decide": (
        log_of([], by(EVE, appointed(EVE, site="b" * 64))),
        by(EVE, appointed(EVE, site="b" * 64)),
        "another site",
    ),
    "lets somebody decide whose appointment it never logged": (
        log_of([], by(EVE, appointed(EVE))),
        by(EVE, appointed(EVE)),
        "neither the owner's nor one that the owner appointed",
    ),
    "calls an auditor a reviewer": (
        log_of([AUDITOR], by(CEM, appointed(CEM))),
        by(CEM, appointed(CEM)),
        "another appointment",
    ),
    "reserves on one approval of two": (log_of_two([REVIEWER], SIGNED_TWICE), RESERVED, "no approval stands"),
    "asks for one person where its rules ask for two": (
        log_of_two([], by_owner(**BY_TWO | {"approvals": 1})),
        by_owner(**BY_TWO | {"approvals": 1}),
        "takes 1 persons, and the house rules ask for 2",
    ),
    "asks for two persons where its rules ask for one": (
        log_of([REVIEWER], by_owner(approvals=2), by(BEA, REVIEWER, approvals=2)),
        by_owner(approvals=2),
        "takes 2 persons, and the house rules ask for 1",
    ),
    "counts one person twice": (
        log_of_two([REVIEWER], SIGNED_TWICE, by(BEA, REVIEWER, **BY_TWO, reason="Again.")),
        by(BEA, REVIEWER, **BY_TWO, reason="Again."),
        "one person approves the same twice",
    ),
    "gives one person two keys": (
        log_of([REVIEWER, appointed(SECOND_KEY)], by_owner()),
        appointed(SECOND_KEY),
        "has a role here already",
    ),
    "gives the owner a second vote": (
        log_of([appointed(Holder("Ole", OWNER))], by_owner()),
        appointed(Holder("Ole", OWNER)),
        "the owner's own key",
    ),
    "appoints a key a second time": (
        log_of([REVIEWER, dismissed(BEA), REVIEWER], by_owner()),
        REVIEWER,
        "was appointed before",
    ),
    "forges the second signature": (log_of_two([REVIEWER], by_owner(**BY_TWO), FORGED), FORGED, "not by the key"),
    "counts a signature on something else": (
        log_of_two([REVIEWER], by_owner(**BY_TWO), by(BEA, REVIEWER, **BY_TWO, expires_at=4_000)),
        RESERVED,
        "no approval stands",
    ),
    "counts somebody who left meanwhile": (
        log_of_two([REVIEWER, ALSO], SIGNED_TWICE, dismissed(BEA), by(CEM, ALSO, **BY_TWO)),
        RESERVED,
        "no approval stands",
    ),
    "counts what was said before a denial": (
        log_of_two([REVIEWER], SIGNED_TWICE, by_owner(**BY_TWO, verdict="deny"), by_owner(**BY_TWO)),
        RESERVED,
        "no approval stands",
    ),
    "lets a researcher approve what they asked for": (
        log_of([ASKED], by(BEA, ASKED)),
        by(BEA, ASKED),
        "own request",
    ),
    "pins a reviewer as a researcher": (
        log_of([REVIEWER, PINNED_AS_PARTY], by_owner()),
        PINNED_AS_PARTY,
        "is a person's of this site",
    ),
    "appoints whose key is pinned": (
        log_of([PINNED_AS_PARTY, REVIEWER], by_owner()),
        REVIEWER,
        "signs for a site or a researcher",
    ),
    "dismisses nobody": (log_of([dismissed(BEA)], by_owner()), dismissed(BEA), "Nobody has a role"),
    "lets a reviewer dismiss": (
        log_of([REVIEWER, dismissed(BEA, CEM.key)], by_owner()),
        dismissed(BEA, CEM.key),
        "another owner key",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_verifier_names_the_entry(attack: str) -> None:
    entries, guilty, reason = ATTACKS[attack]
    found = verify(entries).broken
    places = [place for place, entry in enumerate(entries) if entry == guilty]
    assert (found[0].position in places, reason in found[0].reason) == (True, True), found


def test_a_job_needs_its_second_approval() -> None:
    jobs = jobs_under(approvals=ApprovalRules(jobs=2))
    found = verify(jobs).broken[0]
    assert (type(jobs[found.position or 0]), "takes 1 persons" in found.reason) == (JobDecided, True)
    one, both = ([it for entry in jobs for it in asked_of(count, entry)] for count in (1, 2))
    found = verify(one).broken[0]
    assert (one[found.position or 0], "no approval stands" in found.reason) == (started(1), True)
    assert verify([*both[:4], REVIEWER, *both[4:]]).broken == []


def asked_of(count: int, entry: log.LogEntry) -> Entries:
    """Any entry, and for a decision on a job the same by the first `count` of two persons whom it asks for."""
    if not isinstance(entry, JobDecided):
        return [entry]
    decision = entry.signed.decision.model_copy(update={"approvals": 2})
    signed = (sign_job_decision(OWNER, decision), sign_job_decision(BEA.key, decision, REVIEWER.signed))
    return [JobDecided(at=entry.at, signed=it) for it in signed[:count]]


def test_a_jobs_outputs_need_their_second_word() -> None:
    jobs = jobs_under(approvals=ApprovalRules(releases=2))
    found = verify(jobs).broken[0]
    assert (jobs[found.position or 0], "takes 1 persons" in found.reason) == (word(2), True)
    release = word(2).signed.release.model_copy(update={"approvals": 2})
    said = ReleaseDecided(at=424, signed=sign_release(OWNER, release))
    again = ReleaseDecided(at=424, signed=sign_release(BEA.key, release, REVIEWER.signed))
    one = [said if entry == word(2) else entry for entry in jobs]
    found = verify(one).broken[0]
    assert (one[found.position or 0], "no signed word" in found.reason) == (sent(2, "by-hand"), True)
    place = one.index(said)
    both = [*one[:4], REVIEWER, *one[4:place], said, again, *one[place + 1 :]]
    assert verify(both).broken == []
