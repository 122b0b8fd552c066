"""P2 and P6 in real processes: a datasite killed with SIGKILL wherever a job may stand; nothing ever runs twice."""

import pytest

from datasites.protocol.content import LetterContent
from datasites.requests.jobs.records import Status
from policies.jobs.terms import JobTerms
from policies.log.job_entries import JobEnded, JobReceived, JobStarted, JobTried, OutputsReleased
from tests.one_job import COUNT
from tests.system.kill_points import Shot, arm
from tests.system.live_jobs import SLEEPS, LiveJobs
from tests.system.waiting import eventually, wait_until_gone


def count(live_jobs: LiveJobs, terms: JobTerms, kind: type[object]) -> int:
    return sum(it.request == terms.digest() for it in live_jobs.jobs.logged(kind))  # type: ignore[arg-type]


def shoot(live_jobs: LiveJobs, point: str) -> None:
    arm(live_jobs.points, Shot(point))


@pytest.mark.parametrize("point", ["before:job-received", "before:job-tried"])
def test_a_job_is_received_and_tried_once(live_jobs: LiveJobs, point: str) -> None:
    shoot(live_jobs, point)
    terms = live_jobs.submit(COUNT, point.replace(":", " "))
    live_jobs.restart_after_death()
    live_jobs.stands(terms, Status.PENDING)
    live_jobs.told(terms, "pending")
    assert (count(live_jobs, terms, JobReceived), count(live_jobs, terms, JobTried)) == (1, 1)


def finish(live_jobs: LiveJobs, terms: JobTerms) -> None:
    """Its output is released, and comes with the same bytes however often."""
    live_jobs.release(terms)
    live_jobs.told(terms, "released")
    came = eventually(lambda: live_jobs.outputs(terms), "outputs")
    assert {it.content.plain() for it in came if isinstance(it.content, LetterContent)} == {b'{"rows": 200}'}
    assert count(live_jobs, terms, OutputsReleased) == 1


@pytest.mark.parametrize("point", ["before:job-begun", "after:job-ended", "before:job-settled"])
def test_what_had_not_begun_or_had_ended_goes_on(live_jobs: LiveJobs, point: str) -> None:
    terms = live_jobs.pending(COUNT, point.replace(":", " "))
    shoot(live_jobs, point)
    live_jobs.approve(terms)
    live_jobs.restart_after_death()
    live_jobs.stands(terms, Status.HELD)
    assert (count(live_jobs, terms, JobStarted), count(live_jobs, terms, JobEnded)) == (1, 1)
    finish(live_jobs, terms)


@pytest.mark.parametrize("point", ["after:job-begun", "before:job-ended"])
def test_what_was_cut_off_has_failed_and_runs_again_only_by_the_owners_word(live_jobs: LiveJobs, point: str) -> None:
    terms = live_jobs.pending(COUNT, point.replace(":", " "))
    shoot(live_jobs, point)
    live_jobs.approve(terms)
    live_jobs.restart_after_death()
    live_jobs.stands(terms, Status.FAILED)
    live_jobs.told(terms, "failed")
    live_jobs.wake()
    assert [it.ending for it in live_jobs.jobs.logged(JobEnded) if it.request == terms.digest()] == ["interrupted"]
    assert count(live_jobs, terms, JobStarted) == 1
    live_jobs.approve(terms)
    live_jobs.stands(terms, Status.HELD)
    assert count(live_jobs, terms, JobStarted) == 2
    finish(live_jobs, terms)


def test_what_was_released_is_told_with_the_same_bytes(live_jobs: LiveJobs) -> None:
    terms = live_jobs.pending(COUNT, "told")
    live_jobs.approve(terms)
    live_jobs.told(terms, "held")
    shoot(live_jobs, "before:job-told")
    live_jobs.release(terms)
    live_jobs.restart_after_death()
    live_jobs.told(terms, "released")
    came = eventually(lambda: live_jobs.outputs(terms), "outputs")
    assert {it.content.plain() for it in came if isinstance(it.content, LetterContent)} == {b'{"rows": 200}'}
    assert (count(live_jobs, terms, OutputsReleased), count(live_jobs, terms, JobStarted)) == (1, 1)


def test_no_sandbox_outlives_its_service(live_jobs: LiveJobs) -> None:
    terms = live_jobs.pending(SLEEPS, "sleeps")
    live_jobs.approve(terms)
    live_jobs.stands(terms, Status.RUNNING)
    running = eventually(live_jobs.sandboxed, "a job in the sandbox")
    live_jobs.kill()
    for process in running:
        wait_until_gone(process, 2.0)
    live_jobs.jobs.scene.site.home.wake_socket.unlink(missing_ok=True)
    live_jobs.serve()
    live_jobs.stands(terms, Status.FAILED)
    assert count(live_jobs, terms, JobStarted) == 1


def test_the_log_holds(live_jobs: LiveJobs) -> None:
    """After everything above."""
    report = live_jobs.jobs.scene.audit()
    assert report.broken == [], report
