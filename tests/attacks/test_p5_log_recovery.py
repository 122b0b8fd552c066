"""P5 under attack: a recovery is the owner's, is recounted, and excuses the checkpoints that it names and no other."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.log import entries as log
from policies.log import merkle
from policies.log.budget_entries import ReservationLost
from policies.log.recovery import LostHead, Recovery, SignedRecovery, sign_recovery
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered, SetBackNoticed
from policies.log.verify import Pinned
from tests.attacks.honest_job_log import FIRST, JOBS, started
from tests.attacks.honest_log import (
    ALLOWANCE,
    FACTS,
    HONEST,
    LOG,
    OWNER,
    RETURNED,
    STRANGER,
    TRAINING,
    Entries,
    cost,
    note,
    replaced,
    verify,
)

LOST_LINE = [*HONEST[:10], log.MessageGap(at=400, sender="ab" * 32, expected=1, got=2)]
LOST = LostHead.of(merkle.tree_head(merkle.leaf_hash(entry.canonical()) for entry in LOST_LINE))
NOTICED = SetBackNoticed(at=299, witness="ab" * 32, held=LOST)


def signed(key: Ed25519PrivateKey = OWNER, site: str = FACTS.site, lost: LostHead = LOST) -> SignedRecovery:
    return sign_recovery(key, Recovery(version="cloister-recovery/1", site=site, lost=(lost,), recovered_at=299))


RECOVERED = LogRecovered(at=300, signed=signed())
WRITTEN_OFF = ReservationLost(
    at=300, **RETURNED.model_dump(include={"request", "population", "training_units", "evaluation_units"})
)
BEYOND = BudgetWrittenOff(at=300, population="patients", training_units=1000, evaluation_units=0)
SET_BACK: Entries = replaced(RETURNED, NOTICED, RECOVERED, WRITTEN_OFF, BEYOND)


def pinned(*notes: bytes) -> Pinned:
    return Pinned(LOG.public_key().public_bytes_raw(), OWNER.public_key().public_bytes_raw(), notes)


def test_a_recovered_log_is_sound_and_says_what_it_cannot_show() -> None:
    report = verify(SET_BACK, pinned=pinned(note(LOST_LINE), note(HONEST[:5])))
    assert report.broken == []
    assert any(
        f"declared lost when the site was set back: checkpoints of {LOST.size} " in it for it in report.not_proved
    )


def test_what_was_written_off_is_spent() -> None:
    spent = 3 * cost(TRAINING) + 1000
    assert any(f"{spent / ALLOWANCE:.1%} in training" in it for it in verify(SET_BACK).proved)


def test_a_lost_checkpoint_is_excused_only_where_the_owner_named_it() -> None:
    for recovered in ((), (LogRecovered(at=300, signed=signed(lost=LostHead(size=5, root="ab" * 32))),)):
        entries = replaced(RETURNED, NOTICED, *recovered, WRITTEN_OFF)
        reasons = [it.reason for it in verify(entries, pinned=pinned(note(LOST_LINE))).broken]
        assert len(reasons) == 1
        assert "history was rewritten" in reasons[0]
    other = note([*LOST_LINE, LOST_LINE[-1]])
    assert "history was rewritten" in verify(SET_BACK, pinned=pinned(other)).broken[0].reason


@pytest.mark.parametrize("bad", [signed(key=STRANGER), signed(key=LOG), signed(site="ab" * 32)])
def test_a_recovery_that_is_not_the_owners_word_on_this_log_breaks_it_and_excuses_nothing(bad: SignedRecovery) -> None:
    entries = replaced(RETURNED, NOTICED, LogRecovered(at=300, signed=bad), WRITTEN_OFF)
    report = verify(entries, pinned=pinned(note(LOST_LINE)))
    assert [it.position for it in report.broken] == [None, entries.index(WRITTEN_OFF) - 1]


@pytest.mark.parametrize("approved_again", [True, False])
def test_what_was_approved_before_a_recovery_may_have_run_in_the_lost_history(approved_again: bool) -> None:
    place, approved = SET_BACK.index(RECOVERED), JOBS.index(FIRST) + 1
    again = [FIRST] if approved_again else []
    entries = [*SET_BACK[:place], *JOBS[:approved], *SET_BACK[place:], *again, *JOBS[approved:]]
    broken = verify(entries, pinned=pinned(note(LOST_LINE), note(HONEST[:5]))).broken[:1]
    assert [it.position for it in broken] == ([] if approved_again else [entries.index(started(1))])


def changed(entry: log.LogEntry, **changes: object) -> log.LogEntry:
    return entry.model_copy(update=changes)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ((changed(WRITTEN_OFF, training_units=0),), "not those that the reservation had left"),
        ((WRITTEN_OFF, WRITTEN_OFF), "not open"),
        ((RETURNED, WRITTEN_OFF), "not open"),
        ((WRITTEN_OFF, RETURNED), "not open"),
        ((changed(WRITTEN_OFF, request="ab" * 32),), "not open"),
        ((WRITTEN_OFF, changed(BEYOND, population="nobody")), "never opened"),
        ((WRITTEN_OFF, changed(BEYOND, training_units=ALLOWANCE)), "are allowed"),
    ],
)
def test_losses_are_recounted(entries: tuple[log.LogEntry, ...], reason: str) -> None:
    broken = verify(replaced(RETURNED, RECOVERED, *entries)).broken
    assert reason in broken[0].reason
