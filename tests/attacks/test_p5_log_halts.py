"""P5 under attack where something was halted: a log shows each thing that went on all the same."""

import pytest

from policies.log import entries as log
from policies.log.people_entries import PersonAppointed
from tests.attacks import honest_job_log as job
from tests.attacks.honest_halts import a_stop, resumed, revoked, stopped
from tests.attacks.honest_log import (
    APPROVED,
    FACTS,
    HONEST,
    OWNER,
    RECEIVED,
    RESERVED,
    RETURNED,
    STRANGER,
    TRAINING,
    Entries,
    after,
    charge,
    computed,
    released,
    verify,
)
from tests.site_people import Holder, appointment


def found(entries: Entries) -> list[tuple[int | None, str]]:
    return [(it.position, it.reason) for it in verify(entries).broken]


def test_an_honest_log_with_a_revocation_and_two_stops_is_whole() -> None:
    entries = [*after(released(2), revoked()), stopped(), resumed(), stopped(a_stop(2))]
    report = verify(entries)
    assert report.broken == []
    assert any("1 revocations" in sentence for sentence in report.proved)
    assert any("2 stops" in sentence and "It stands stopped." in sentence for sentence in report.proved)


@pytest.mark.parametrize("act", [charge(2, TRAINING), computed(2), released(2)], ids=lambda it: it.kind)
def test_whatever_is_done_after_a_revocation_is_found(act: log.LogEntry) -> None:
    entries = list(HONEST)
    entries.insert(entries.index(act), revoked())
    assert (entries.index(act), "the approval of this request was revoked before") in found(entries)


@pytest.mark.parametrize(
    "act", [APPROVED, RESERVED, charge(1, TRAINING), computed(1), released(1)], ids=lambda it: it.kind
)
def test_whatever_is_done_while_stopped_is_found(act: log.LogEntry) -> None:
    entries = list(HONEST)
    place = entries.index(act)
    entries[place:place] = [stopped()]
    entries.insert(place + 2, resumed())
    assert found(entries) == [(place + 1, "the site was stopped, and had not been resumed")]


@pytest.mark.parametrize(
    "act",
    [job.JOB_TRIED, job.FIRST, job.started(1), job.inspected(1, clean=True), job.word(2), job.sent(2, "by-hand")],
    ids=lambda it: it.kind,
)
def test_whatever_is_done_with_jobs_while_stopped_is_found(act: log.LogEntry) -> None:
    place = job.HONEST_JOBS.index(act)
    entries = [*job.HONEST_JOBS[:place], stopped(), act, resumed(), *job.HONEST_JOBS[place + 1 :]]
    assert found(entries) == [(place + 1, "the site was stopped, and had not been resumed")]


@pytest.mark.parametrize("act", [job.started(2), job.word(2), job.sent(2, "by-hand"), job.decided(3)])
def test_whatever_is_done_of_a_revoked_job_is_found(act: log.LogEntry) -> None:
    place = job.HONEST_JOBS.index(act)
    entries = [*job.HONEST_JOBS[:place], revoked(job.JOB), *job.HONEST_JOBS[place:]]
    assert (place + 1, "the approval of this request was revoked before") in found(entries)


def test_receipt_denial_expiry_and_returned_units_go_on_while_stopped() -> None:
    stop = [stopped(), *(it for it in HONEST if it in (RECEIVED,)), resumed()]
    entries = [it for part in HONEST for it in (stop if part is RECEIVED else [part])]
    place = entries.index(RETURNED)
    entries[place:place] = [stopped(a_stop(2))]
    assert found(entries) == []


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ([revoked(key=STRANGER)], "neither the owner's nor appointed"),
        ([revoked(site="ab" * 32)], "another site"),
        ([revoked("ab" * 32)], "never approved"),
        ([revoked(), revoked()], "revoked a second time"),
        ([stopped(key=STRANGER)], "neither the owner's nor appointed"),
        ([stopped(a_stop(site="ab" * 32))], "another site"),
        ([stopped(a_stop(2))], "the stop has number 2"),
        ([stopped(), stopped(a_stop(2))], "a second time"),
        ([stopped(), resumed(), stopped()], "the stop has number 1"),
        ([resumed()], "was not stopped"),
        ([stopped(), resumed(key=STRANGER)], "neither the owner's nor appointed"),
        ([stopped(), resumed(site="ab" * 32)], "another site"),
        ([stopped(), resumed(), stopped(a_stop(2)), resumed()], "another stop"),
    ],
)
def test_a_word_that_is_forged_replayed_or_out_of_place_is_found(new: Entries, reason: str) -> None:
    entries = [*HONEST, *new]
    broken = found(entries)
    assert [position for position, _ in broken] == [len(entries) - 1]
    assert reason in broken[0][1]


def test_a_reviewer_who_ends_a_stop_that_is_not_theirs_is_found() -> None:
    bea, cem = Holder("Bea"), Holder("Cem")
    beas, cems = (appointment(OWNER, FACTS.site, it) for it in (bea, cem))
    hired = [PersonAppointed(at=300, signed=it) for it in (beas, cems)]
    by_bea = resumed(key=bea.key, appointment=beas)
    assert found([*HONEST, *hired, stopped(key=bea.key, appointment=beas), by_bea]) == []
    assert found([*HONEST, *hired, stopped(key=bea.key, appointment=beas), resumed()]) == []
    for other in (stopped(), stopped(key=cem.key, appointment=cems)):
        entries = [*HONEST, *hired, other, by_bea]
        ((position, reason),) = found(entries)
        assert position == len(entries) - 1
        assert "Bea did not stop the site" in reason


def test_a_changed_word_is_found() -> None:
    for entry, field in ((revoked(), "revocation"), (stopped(), "stop")):
        signed = entry.signed
        statement = getattr(signed, field).model_copy(update={"reason": "Another one."})
        bent = entry.model_copy(update={"signed": signed.model_copy(update={field: statement})})
        assert "signature" in found([*HONEST, bent])[0][1]
