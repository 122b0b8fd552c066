"""P5 under attack through house rules: a site that approved what its owner's rules forbid cannot hide it in its log."""

from collections.abc import Callable

import pytest

from policies.log import entries as log
from policies.log.rules_entries import RulesAdopted
from policies.rules.adoption import sign_adoption
from policies.rules.house_rules import AutoApprovalRules, DataSetRules
from policies.terms import Terms
from tests.attacks.honest_halts import revoked
from tests.attacks.honest_job_log import jobs_under
from tests.attacks.honest_log import (
    ADOPTED,
    APPROVED,
    HONEST,
    OWNER,
    RECEIVED,
    RULES,
    STRANGER,
    TERMS,
    TRAINING,
    Entries,
    approval,
    changed,
    replaced,
    verify,
)
from tests.attacks.honest_rules_log import (
    AUTOMATIC,
    adopted,
    adoption,
    by_rules,
    person_approved,
    ran,
    ruled,
    rules,
    second,
)

ONE_A_QUARTER = rules(auto_approval=AutoApprovalRules(studies_a_quarter=1, maximum_epsilon=3.0))
LITTLE = rules(auto_approval=AutoApprovalRules(studies_a_quarter=2, maximum_epsilon=1.0))
LOOSENED = sign_adoption(OWNER, RULES).model_copy(update={"adoption": adoption(rules())})
OTHERS_RULES = adoption(rules(), AUTOMATIC)


def training(**changes: object) -> Terms:
    return second(training=second().training.model_copy(update=changes))


def programs(**changes: object) -> Terms:
    return second(programs=TERMS.programs.model_copy(update=changes))


def with_changed_approval(**changes: object) -> Entries:
    return [*person_approved(AUTOMATIC), *by_rules(second(), AUTOMATIC, **changes), *ran(second())]


def site_rules(**changes: object) -> Entries:
    """The honest log of one study, which other rules than its own were adopted for."""
    statement = adoption(RULES.rules.model_copy(update=changes))
    swaps = {ADOPTED: adopted(statement), APPROVED: approval(house_rules=statement.digest())}
    return [swaps.get(it, it) for it in HONEST]


def two_by_rules(under: object) -> Entries:
    """Two studies that the rules approved, both before either was reserved."""
    statement = adoption(under)  # type: ignore[arg-type]
    first, other = by_rules(second(1), statement), by_rules(second(2), statement)
    return [*person_approved(statement), *first[:2], *other[:2], first[2], other[2]]


def closed(request: str, at: int = 140) -> log.RequestClosed:
    return log.RequestClosed(at=at, request=request, reason="Its researcher closed it.")


def as_another_researcher() -> Entries:
    eve = changed(HONEST[2], party="ab" * 32, name="Eve")
    return ruled(second(researcher="ab" * 32), then=[eve])


def by_an_automatic_precedent() -> Entries:
    first, other = second(1), second(2)
    made = by_rules(other, AUTOMATIC, precedent=first.digest())
    return [*person_approved(AUTOMATIC), *by_rules(first, AUTOMATIC), *made]


def test_the_honest_log_with_an_approval_by_the_rules_is_sound() -> None:
    report = verify(ruled())
    assert report.broken == []
    assert any("rules approved alone: 1;" in sentence for sentence in report.proved)


def test_rules_may_follow_each_other_and_each_decision_names_those_that_held() -> None:
    again = adoption(RULES.rules, RULES)
    entries = [*HONEST, adopted(again, 310), changed(RECEIVED, at=311, request=second().digest(), terms=second())]
    denied = approval(request=second().digest(), verdict="deny", house_rules=again.digest())
    assert verify([*entries, denied]).broken == []
    old = approval(request=second().digest(), verdict="deny")
    assert "other house rules than those that held" in verify([*entries, old]).broken[0].reason


ATTACKS: dict[str, tuple[Callable[[], Entries], str]] = {
    "decides without rules": (lambda: replaced(ADOPTED), "no house rules were adopted"),
    "adopts rules by itself": (
        lambda: replaced(ADOPTED, RulesAdopted(at=10, signed=sign_adoption(STRANGER, RULES))),
        "another owner key",
    ),
    "loosens what the owner signed": (
        lambda: replaced(ADOPTED, RulesAdopted(at=10, signed=LOOSENED)),
        "signature",
    ),
    "adopts another site's rules": (
        lambda: replaced(ADOPTED, adopted(RULES.model_copy(update={"site": "12" * 32}))),
        "another site",
    ),
    "takes up rules of old": (
        lambda: [*HONEST, adopted(adoption(rules(), RULES), 310), ADOPTED],
        "replace others than those that held",
    ),
    "forgets the rules between": (
        lambda: [*HONEST, adopted(OTHERS_RULES, 310)],
        "replace others than those that held",
    ),
    "approves beyond the ε of its rules": (lambda: site_rules(maximum_epsilon=2.0), "at most 2"),
    "approves beyond the ε of the data set": (
        lambda: site_rules(data_sets={"registry": DataSetRules(maximum_epsilon=2.0)}),
        "at most 2",
    ),
    "approves on a data set that is closed": (
        lambda: site_rules(data_sets={"registry": DataSetRules(studies=False)}),
        "no model is trained",
    ),
    "approves for somebody who may not ask": (lambda: site_rules(researchers=()), "not among those"),
    "approves beyond a researcher's cap": (lambda: site_rules(maximum_epsilon_per_researcher=0.5), "would reach"),
    "approves beyond the quarter's cap": (lambda: site_rules(maximum_epsilon_per_quarter=0.5), "would reach"),
    "approves what waited too long": (
        lambda: [
            changed(it, at=it.at + 90_000) if place > 5 else it
            for place, it in enumerate(site_rules(decide_within_days=1))
        ],
        "nobody decided on it",
    ),
    "approves by rules that approve nothing": (lambda: ruled(under=RULES.rules), "approve nothing by themselves"),
    "approves another program": (lambda: ruled(programs(loss="07" * 32)), "programs.loss"),
    "approves other metrics": (lambda: ruled(programs(metrics="07" * 32)), "programs.metrics"),
    "approves other fixed numbers": (
        lambda: ruled(programs(initial_parameters="07" * 32)),
        "programs.initial_parameters",
    ),
    "approves more rounds": (lambda: ruled(training(rounds=4)), "training.rounds"),
    "approves more steps": (lambda: ruled(training(local_steps=TRAINING.steps + 1)), "training.local_steps"),
    "approves more retries": (lambda: ruled(training(retries=1)), "training.retries"),
    "approves less noise": (lambda: ruled(training(rounds=3, noise_multiplier=1.9)), "costs people in training more"),
    "approves a larger ε": (
        lambda: ruled(second(privacy=TERMS.privacy.model_copy(update={"epsilon": 3.5}))),
        "privacy.epsilon",
    ),
    "approves for another purpose": (lambda: ruled(second(purpose="Sell it")), "purpose"),
    "approves for another researcher": (as_another_researcher, "researcher"),
    "approves beyond the ε of auto-approval": (lambda: ruled(under=LITTLE), "without a person, at most 1"),
    "approves because of an approval by the rules": (by_an_automatic_precedent, "no person's approval stands"),
    "approves because of what was never asked": (
        lambda: with_changed_approval(precedent="0c" * 32),
        "no person's approval stands",
    ),
    "approves because of what was denied": (
        lambda: ruled(then=[approval(house_rules=AUTOMATIC.digest(), verdict="deny")]),
        "no person's approval stands",
    ),
    "approves because of what was closed": (
        lambda: ruled(then=[closed(RECEIVED.request)]),  # type: ignore[attr-defined]
        "no person's approval stands",
    ),
    "approves after the precedent has expired": (
        lambda: [
            *person_approved(AUTOMATIC),
            *by_rules(second(), AUTOMATIC, at=TERMS.expires_at),
        ],
        "had expired",
    ),
    "approves for longer than the precedent": (lambda: ruled(second(expires_at=TERMS.expires_at + 1)), "expires_at"),
    "approves under other rules than hold": (
        lambda: with_changed_approval(house_rules=RULES.digest()),
        "other house rules than those that held",
    ),
    "approves one too many, both before any is reserved": (lambda: two_by_rules(ONE_A_QUARTER), "as many as they may"),
    "approves other units than it costs": (
        lambda: with_changed_approval(training_units=1, evaluation_units=1),
        "the terms cost",
    ),
    "approves on another snapshot": (
        lambda: with_changed_approval(snapshot_commitment="0c" * 32),
        "never registered",
    ),
    "lets clean outputs of a job go": (
        lambda: _job_rules(jobs=RULES.rules.jobs.model_copy(update={"release_clean": False})),
        "have them wait for the owner",
    ),
    "approves a job on a data set that is closed": (
        lambda: _job_rules(data_sets={"scans": DataSetRules(jobs=False)}),
        "no code sees «scans»",
    ),
    "approves a job on files about people who are closed": (
        lambda: _job_rules(data_sets={"registry": DataSetRules(jobs=False)}),
        "no code sees «registry»",
    ),
}


def _job_rules(**changes: object) -> Entries:
    """The honest log of a job, whose site adopted other rules, and the data set of the people whom it is about."""
    entries = jobs_under(**changes)
    return [*entries[:4], HONEST[4], *entries[4:]]


@pytest.mark.parametrize("act", ran(second()), ids=lambda it: it.kind)
def test_whatever_is_done_after_the_precedent_was_revoked_is_found(act: log.LogEntry) -> None:
    entries = ruled()
    entries.insert(entries.index(act), revoked())
    found = [(it.position, it.reason) for it in verify(entries).broken]
    assert (entries.index(act), "the approval that this one rests on was revoked before") in found


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_dishonest_site(attack: str) -> None:
    make, reason = ATTACKS[attack]
    broken = verify(make()).broken
    assert any(reason in it.reason for it in broken), broken
    assert not any("rules approved alone" in it for it in verify(make()).proved)


def test_the_quarter_is_that_of_the_newest_entry_whatever_the_clock_says() -> None:
    """One study a quarter; the clock is set back across its edge, to where there was room."""
    day = 86_400
    statement = adoption(ONE_A_QUARTER)
    terms = TERMS.model_copy(update={"expires_at": 400 * day})
    start = person_approved(statement, terms)

    def approved(number: int, at: int) -> list[log.LogEntry]:
        again = second(number, expires_at=400 * day)
        return by_rules(again, statement, at, precedent=terms.digest(), expires_at=400 * day)

    entries = [*start, *approved(1, 80 * day), *approved(2, 95 * day)]
    assert verify(entries).broken == []
    set_back = [*start, *approved(1, 95 * day), *approved(2, 80 * day)]
    assert "as many as they may" in verify(set_back).broken[0].reason
