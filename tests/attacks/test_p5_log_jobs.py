"""Attacks on P5: a dishonest site runs a job without an approval of that very execution.

Signatures and hashes are kept consistent throughout: only the rules of jobs can give the site away.
"""

import pytest

from policies.log import entries as log
from policies.log.recovery import LostHead, Recovery, sign_recovery
from policies.log.set_back_entries import LogRecovered
from tests.attacks.honest_job_log import (
    FIRST,
    HONEST_JOBS,
    JOB,
    JOB_CLOSED,
    JOB_RECEIVED,
    JOB_TERMS,
    JOB_TRIED,
    JOBS,
    ON_STAYS_ANEW,
    OTHER_DECIDED,
    OTHER_RECEIVED,
    STAYS_ANEW,
    Attack,
    decided,
    ended,
    outputs,
    require_found,
    sent,
    started,
    with_jobs,
    word,
)
from tests.attacks.honest_log import (
    EXPIRES,
    FACTS,
    HONEST,
    OWNER,
    RESEARCHER,
    TRAINING,
    Entries,
    changed,
    charge,
    note,
    verify,
)

DENIED = decided(1, verdict="deny")
LESS_TIME = JOB_TERMS.limits.model_copy(update={"wall_seconds": 60})
LATE, AGAIN = started(1, at=EXPIRES), started(1, at=412)
LOST = LostHead(size=9, root="ab" * 32)
RECOVERED = LogRecovered(
    at=410,
    signed=sign_recovery(
        OWNER, Recovery(version="cloister-recovery/1", site=FACTS.site, lost=(LOST,), recovered_at=410)
    ),
)


def test_the_honest_log_is_sound_and_says_what_no_guarantee_covers() -> None:
    report = verify(HONEST_JOBS)
    assert report.broken == []
    for part in (
        "Each of the 1 jobs stands",
        "Each of the 3 decisions on jobs",
        "Each of the 3 executions",
        "had not ended yet: 1.",
        "Each of the 2 releases of analysis outputs",
        "The guarantee of population «patients» excludes 2 releases of analysis outputs.",
        "No guarantee covers the set of files «scans»; releases of analysis outputs from it: 2.",
    ):
        assert any(part in sentence for sentence in report.proved), part
    assert any("no privacy budget bounds it" in sentence for sentence in report.not_proved)


def test_a_study_and_a_job_stand_in_one_log() -> None:
    report = verify([*HONEST, *JOBS])
    assert report.broken == []
    assert any("Each of the 3 charges" in sentence for sentence in report.proved)
    report = verify(HONEST)
    assert any("«patients» excludes 0 releases" in sentence for sentence in report.proved)
    assert not any("analysis outputs" in sentence for sentence in report.not_proved)


@pytest.mark.parametrize(
    "entries",
    [
        with_jobs(FIRST, DENIED, FIRST),
        with_jobs(FIRST, decided(1, release="clean", limits=LESS_TIME, expires_at=EXPIRES - 1)),
        with_jobs(FIRST, STAYS_ANEW, decided(1, release="clean", data_sets=ON_STAYS_ANEW))[:9],
        with_jobs(JOB_RECEIVED, JOB_RECEIVED, OTHER_RECEIVED, OTHER_DECIDED),
        with_jobs(ended(2), ended(2, "interrupted"))[:15],
        with_jobs(sent(1, "clean"), word(1), sent(1, "by-hand")),
        with_jobs(word(2), word(2, verdict="withhold"), word(2)),
        with_jobs(FIRST, FIRST, RECOVERED, FIRST),
    ],
)
def test_other_honest_logs_are_sound(entries: Entries) -> None:
    assert verify(entries).broken == []


def test_executions_that_the_datasite_says_were_interrupted_are_counted_with_those_that_never_ended() -> None:
    report = verify([*with_jobs(JOB_CLOSED, ended(3, "interrupted"), decided(4), started(4)), JOB_CLOSED])
    assert any("had not ended yet: 2." in sentence for sentence in report.proved)


EXECUTIONS: dict[str, Attack] = {
    "runs without a decision": (with_jobs(FIRST), started(1), "no approval"),
    "runs on the decision on another job": (
        with_jobs(FIRST, OTHER_RECEIVED, OTHER_DECIDED),
        started(1),
        "no approval",
    ),
    "runs on a decision on another execution": (with_jobs(FIRST, decided(2)), decided(2), "on execution 2"),
    "runs another execution than was approved": (with_jobs(started(1), started(2)), started(2), "no approval"),
    "runs after the expiry": (with_jobs(started(1), LATE), LATE, "expired"),
    "runs after an expiry earlier than the terms'": (
        with_jobs(FIRST, decided(1, release="clean", expires_at=411)),
        started(1),
        "expired",
    ),
    "sets its clock back past the expiry": (
        with_jobs(started(1), log.MessageGap(at=EXPIRES, sender=RESEARCHER, expected=1, got=2), started(1)),
        started(1),
        "expired",
    ),
    "runs what was denied": (with_jobs(FIRST, DENIED), started(1), "no approval"),
    "runs on after the owner withdrew": (with_jobs(FIRST, FIRST, DENIED), started(1), "no approval"),
    "runs twice on one approval": (with_jobs(started(1), started(1), AGAIN), AGAIN, "no approval"),
    "runs again on an approval that is used up": (with_jobs(decided(2)), started(2), "no approval"),
    "runs silently again after a crash": ([*HONEST_JOBS, started(3, at=500)], started(3, at=500), "no approval"),
    "runs what may have run in a history that was lost": (
        with_jobs(FIRST, FIRST, RECOVERED),
        started(1),
        "no approval",
    ),
    "runs a closed job": ([*HONEST_JOBS, decided(4), started(4)], started(4), "was closed"),
    "runs on files that were exchanged after the approval": (
        with_jobs(FIRST, FIRST, STAYS_ANEW),
        started(1),
        "registered anew",
    ),
    "runs what was never received": (with_jobs(JOB_RECEIVED), JOB_TRIED, "never received"),
    "ends what never began": (with_jobs(started(1)), ended(1), "never began"),
    "ends twice": (
        with_jobs(ended(1), ended(1), changed(ended(1), at=413, commitment=outputs(5))),
        changed(ended(1), at=413, commitment=outputs(5)),
        "second time",
    ),
    "charges a budget for a job": (
        with_jobs(ended(1), changed(charge(1, TRAINING), at=412, request=JOB), ended(1)),
        changed(charge(1, TRAINING), at=412, request=JOB),
        "outside an open reservation",
    ),
}


@pytest.mark.parametrize("attack", EXECUTIONS)
def test_no_execution_without_an_approval_of_its_own(attack: str) -> None:
    require_found(EXECUTIONS[attack])


def test_an_outsider_takes_any_entry_on_the_job_out_of_a_signed_log() -> None:
    for place in range(3, len(HONEST_JOBS)):
        report = verify([*HONEST_JOBS[:place], *HONEST_JOBS[place + 1 :]], signed=note(HONEST_JOBS))
        assert report.broken[0].position is None
        assert report.proved == []
