"""Attacks on P5: an outsider edits an exported log, or a dishonest site writes and signs one that breaks the rules."""

from collections.abc import Callable

import pytest

from policies.decision import sign_decision
from policies.log import entries as log
from policies.log.bundle import read_bundle, write_bundle
from policies.log.verify import Pinned, verify_bundle
from tests.attacks.honest_log import (
    ALLOWANCE,
    APPROVED,
    DECISION,
    EXPIRES,
    FACTS,
    HONEST,
    LOG,
    OPENED,
    OWNER,
    PINNED,
    POPULATION,
    RECEIVED,
    REGISTERED,
    REQUEST,
    RESEARCHER,
    RESERVED,
    RETURNED,
    REVIEWED,
    STRANGER,
    TERMS,
    TRAINING,
    Entries,
    after,
    approval,
    changed,
    charge,
    computed,
    cost,
    note,
    released,
    replaced,
    under,
    verify,
)


def test_the_honest_log_is_sound_and_says_what_was_spent() -> None:
    report = verify(HONEST)
    assert report.broken == []
    share = f"{2 * cost(TRAINING) / ALLOWANCE:.1%} in training"
    assert any(share in sentence for sentence in report.proved)
    assert any("Each of the 3 charges" in sentence for sentence in report.proved)
    assert any("stay spent: 0." in sentence for sentence in report.proved)


def test_a_review_between_receipt_and_decision_is_sound() -> None:
    assert verify(after(RECEIVED, REVIEWED)).broken == []


def test_a_burned_charge_and_a_resent_answer_are_sound() -> None:
    crashed = [*HONEST[:12], charge(2, TRAINING), HONEST[11], changed(charge(2, TRAINING), attempt=2)]
    answered = [*crashed, changed(computed(2), attempt=2), released(2)]
    report = verify(answered)
    assert report.broken == []
    assert any("stay spent: 1." in sentence for sentence in report.proved)


OUTSIDERS: dict[str, Callable[[Entries], Entries]] = {
    "edits an entry": lambda entries: [changed(entries[0], at=9), *entries[1:]],
    "deletes an entry": lambda entries: entries[:9] + entries[10:],
    "deletes the tail": lambda entries: entries[:-3],
    "swaps two entries": lambda entries: [*entries[:-3], entries[-2], entries[-3], entries[-1]],
    "doubles an entry": lambda entries: [*entries[:5], entries[4], *entries[5:]],
    "adds an entry": lambda entries: [*entries, log.MessageGap(at=400, sender=RESEARCHER, expected=1, got=2)],
}


@pytest.mark.parametrize("attack", OUTSIDERS)
def test_an_outsider(attack: str) -> None:
    report = verify(OUTSIDERS[attack](HONEST), signed=note(HONEST))
    assert report.broken[0].position is None
    assert report.proved == []


def test_an_outsider_forges_the_checkpoint() -> None:
    shortened = HONEST[:-3]
    for forged in (note(shortened, STRANGER), note(HONEST).replace(b"\n17\n", b"\n14\n"), b"none\n"):
        assert verify(shortened, signed=forged).broken


def test_an_outsider_swaps_the_site_keys_of_a_whole_log() -> None:
    """Everything is forged consistently under the stranger's keys: only a pinned key shows it."""
    key = STRANGER.public_key().public_bytes_raw().hex()
    facts = FACTS.model_copy(update={"log_key": key, "owner_key": key})
    forged = [changed(OPENED, log_key=key, owner_key=key), PINNED]
    data = write_bundle(facts, note(forged, STRANGER), [entry.canonical() for entry in forged])
    assert verify_bundle(data, Pinned()).broken == []
    assert verify_bundle(data, Pinned(log_key=LOG.public_key().public_bytes_raw())).broken
    assert verify_bundle(data, Pinned(owner_key=OWNER.public_key().public_bytes_raw())).broken


def test_the_site_cuts_its_log_back_or_rewrites_it_after_a_checkpoint_went_out() -> None:
    earlier = Pinned(checkpoints=(note(HONEST[:12]),))
    assert verify(HONEST, pinned=earlier).broken == []
    assert "cut back" in verify(HONEST[:9], pinned=earlier).broken[0].reason
    rewritten = replaced(PINNED, changed(PINNED, name="Somebody else"))
    assert "rewritten" in verify(rewritten, pinned=earlier).broken[0].reason


DISHONEST_SITE: dict[str, tuple[Entries, str]] = {
    "signs the decision itself": (
        replaced(APPROVED, log.DecisionTaken(at=101, signed=sign_decision(STRANGER, DECISION))),
        "neither the owner's nor appointed",
    ),
    "raises what was approved": (
        replaced(
            APPROVED,
            log.DecisionTaken(
                at=101,
                signed=sign_decision(OWNER, DECISION).model_copy(
                    update={"decision": DECISION.model_copy(update={"training_units": ALLOWANCE})}
                ),
            ),
        ),
        "not by the key",
    ),
    "runs what was denied": (replaced(APPROVED, approval(verdict="deny")), "no approval"),
    "runs what was never decided": (replaced(APPROVED), "no approval"),
    "runs on after the owner withdrew": (after(released(1), approval(verdict="deny")), "no approval"),
    "uses another site's approval": (replaced(APPROVED, approval(site="11" * 32)), "another site"),
    "uses the approval of another data set": (replaced(APPROVED, approval(data_set="other")), "another data set"),
    "swaps the snapshot": (replaced(APPROVED, approval(snapshot_commitment="11" * 32)), "never registered"),
    "runs after the expiry": (
        replaced(charge(2, TRAINING), changed(charge(2, TRAINING), at=EXPIRES)),
        "expired",
    ),
    "sets its clock back past the expiry": (
        after(released(1), log.MessageGap(at=EXPIRES, sender=RESEARCHER, expected=1, got=2)),
        "expired",
    ),
    "serves a stranger": (replaced(PINNED), "never pinned"),
    "reserves more than was approved": (
        replaced(RESERVED, changed(RESERVED, training_units=DECISION.training_units + 1)),
        "units that were approved",
    ),
    "reserves twice": (after(RESERVED, RESERVED), "second reservation"),
    "charges nothing": (replaced(charge(1, TRAINING)), "not those that the charges left"),
    "computes without a charge": (after(released(2), computed(3)), "without a charge for training"),
    "charges too little": (
        replaced(charge(1, TRAINING), changed(charge(1, TRAINING), units=cost(TRAINING) - 1)),
        "its mechanism costs",
    ),
    "names a mechanism with more noise": (
        replaced(
            charge(1, TRAINING),
            changed(charge(1, TRAINING), mechanism=TRAINING.model_copy(update={"noise_multiplier": 4.0})),
        ),
        "its mechanism costs",
    ),
    "charges over the reservation": (
        after(charge(2, TRAINING), charge(3, TRAINING), charge(4, TRAINING)),
        "exceeds what is left",
    ),
    "charges one attempt twice": (after(charge(1, TRAINING), charge(1, TRAINING)), "charged twice"),
    "charges before it reserves": (
        [*HONEST[:7], charge(1, TRAINING), RESERVED, *HONEST[9:]],
        "outside an open reservation",
    ),
    "charges a closed reservation": (after(RETURNED, charge(3, TRAINING)), "outside an open reservation"),
    "charges another population": (
        replaced(charge(1, TRAINING), changed(charge(1, TRAINING), population="others")),
        "never opened",
    ),
    "returns more than is left": (
        replaced(RETURNED, changed(RETURNED, training_units=2 * cost(TRAINING))),
        "not those that the charges left",
    ),
    "grants itself a larger allowance": (
        replaced(POPULATION, changed(POPULATION, allowance_units=ALLOWANCE + 1)),
        "give",
    ),
    "opens the budget a second time": (after(released(1), POPULATION), "second time"),
    "moves the data set to a fresh budget": (
        after(REGISTERED, changed(POPULATION, population="others"), changed(REGISTERED, population="others")),
        "moves from one population",
    ),
    "computes a round twice": (
        after(released(1), changed(computed(1), round_context="12" * 32, output_commitment="34" * 32)),
        "second answer",
    ),
    "uses masks twice": (
        replaced(computed(2), changed(computed(2), round_context=computed(1).round_context)),
        "used twice",
    ),
    "releases what was never computed": (replaced(computed(1)), "not the one answer"),
    "releases two answers for a round": (
        after(released(1), changed(released(1), output_commitment="34" * 32)),
        "not the one answer",
    ),
    "releases to somebody else": (
        replaced(released(1), changed(released(1), recipient="22" * 32)),
        "another party",
    ),
    "computes for a closed request": (after(HONEST[-1], computed(3)), "request was closed"),
    "reviews what never came": (after(RECEIVED, changed(REVIEWED, request="12" * 32)), "never received"),
    "reviews a request anew": (
        after(RECEIVED, REVIEWED, changed(REVIEWED, findings="34" * 32)),
        "reviewed a second time",
    ),
    "hides an entry of no known kind": (
        after(PINNED, changed(log.RequestClosed(at=20, request=REQUEST, reason="x"), kind="note")),
        "not valid",
    ),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("attack", DISHONEST_SITE)
def test_a_dishonest_site(attack: str) -> None:
    entries, reason = DISHONEST_SITE[attack]
    report = verify(entries)
    assert any(reason in item.reason and item.position is not None for item in report.broken), report.broken
    assert all("hash" not in item.reason for item in report.broken)
    assert not any("charges was recomputed" in sentence for sentence in report.proved)


def test_a_dishonest_site_admits_many_requests_that_together_exceed_the_allowance() -> None:
    each = 2 * cost(TRAINING)
    assert ALLOWANCE // 3 < each < ALLOWANCE // 2
    two_rounds = TERMS.model_copy(
        update={
            "training": TERMS.training.model_copy(update={"rounds": 2}),
            "evaluation": TERMS.evaluation.model_copy(update={"models": ()}),
        }
    )
    entries = HONEST[:5]
    for number in range(3):
        terms = two_rounds.model_copy(update={"study": f"{number:032x}"})
        reserved = changed(RESERVED, training_units=each, evaluation_units=0)
        entries += under(terms, [RECEIVED, APPROVED, reserved], training_units=each, evaluation_units=0)
    report = verify(entries)
    assert [item.position for item in report.broken] == [13]
    assert "are allowed" in report.broken[0].reason


def test_the_bundle_shows_an_auditor_every_entry_that_was_hashed() -> None:
    data = write_bundle(FACTS, note(HONEST), [entry.canonical() for entry in HONEST])
    assert [log.parse_entry(entry) for entry in read_bundle(data).entries] == HONEST
