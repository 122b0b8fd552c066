"""A job ends early: cancelled by its researcher or its owner at any moment, or expired."""

import pytest

from datasites.requests.jobs.close import cancel_job
from datasites.requests.jobs.records import Job, Status
from datasites.requests.jobs.tell import refuse_job
from policies.errors import ConflictError, RefusedError
from policies.log.entries import RequestClosed
from policies.log.job_entries import JobStarted
from tests.one_job import COUNT, JobScene


def received(jobs: JobScene) -> Job:
    return jobs.receive()


def pending(jobs: JobScene) -> Job:
    return jobs.tried()


def approved(jobs: JobScene) -> Job:
    return jobs.approve(jobs.tried())


def ended(jobs: JobScene) -> Job:
    """It has run, and was not inspected yet."""
    job = approved(jobs)
    assert jobs.worker.run_next()
    return jobs.job(job.digest)


def held(jobs: JobScene) -> Job:
    return jobs.ran()


OPEN = [received, pending, approved, ended, held]


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("by_owner", [False, True])
def test_an_open_job_is_cancelled_and_nothing_of_it_stays(jobs: JobScene, state: object, by_owner: bool) -> None:
    job = state(jobs)  # type: ignore[operator]
    if by_owner:
        with jobs.scene.site.engine.begin() as connection:
            cancel_job(connection, job.number, "We\x00 changed our mind.", jobs.scene.now)
    else:
        jobs.cancel(job)
    started = len(jobs.logged(JobStarted))
    assert not jobs.worker.try_next()
    after = jobs.run(job)
    assert (after.status, after.code_file, after.outputs_file, after.findings, after.run) == (
        Status.CANCELLED, None, None, None, None,
    )  # fmt: skip
    jobs.tell()
    told = jobs.statuses()[-1]
    assert (told.status, told.ending, told.milliseconds, jobs.outputs()) == ("cancelled", None, None, [])
    assert len(jobs.logged(JobStarted)) == started
    assert jobs.scene.audit().broken == []


def test_a_job_that_has_ended_stays_as_it_is(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran())
    jobs.tell()
    jobs.cancel(job)
    assert jobs.job(job.digest).status is Status.RELEASED
    with jobs.scene.site.engine.begin() as connection, pytest.raises(ConflictError, match="released"):
        cancel_job(connection, job.number, "Too late.", jobs.scene.now)


@pytest.mark.parametrize("code", [COUNT, "1 / 0"])
@pytest.mark.parametrize("ran", [False, True])
def test_a_cancelled_job_does_not_tell_whether_it_had_ended(jobs: JobScene, code: str, ran: bool) -> None:
    jobs.rule("release_clean = true")
    job = jobs.approve(jobs.tried(code))
    if ran:
        assert jobs.run(job).status in (Status.RELEASED, Status.FAILED)
    told = len(jobs.statuses())
    jobs.cancel(job)
    jobs.tell()
    assert [it.status for it in jobs.statuses()[told:]] == ["cancelled"]
    assert jobs.outputs() == []
    assert jobs.scene.audit().broken == []


def test_nobody_elses_job_can_be_cancelled(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    with pytest.raises(RefusedError, match="no such job of yours"):
        jobs.cancel(job, jobs.scene.other_researcher.party)
    assert jobs.job(job.digest).status is Status.APPROVED


@pytest.mark.parametrize("state", OPEN)
def test_what_has_expired_is_closed_and_told(jobs: JobScene, state: object) -> None:
    job = state(jobs)  # type: ignore[operator]
    jobs.scene.clock.seconds = job.terms.expires_at - 0.5
    while (rest := jobs.worker.tell_next()) == 0.0:
        pass
    assert rest == 0.5
    jobs.scene.clock.seconds += 0.5
    jobs.worker.tell_next()
    after = jobs.job(job.digest)
    assert (after.status, after.outputs_file) == (Status.EXPIRED, None)
    assert jobs.statuses()[-1].status == "expired"
    assert not jobs.worker.run_next()
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
@pytest.mark.parametrize("code", [COUNT, "1 / 0"])
@pytest.mark.parametrize("ran", [False, True])
def test_an_expired_job_does_not_tell_whether_it_had_ended(jobs: JobScene, code: str, ran: bool) -> None:
    jobs.rule("release_clean = true")
    job = jobs.approve(jobs.tried(code, expires_at=jobs.scene.now + 1))
    if ran:
        assert jobs.run(job).status in (Status.RELEASED, Status.FAILED)
        jobs.scene.tamper("UPDATE jobs SET tell_at = tell_at + 5000")  # as if its code had taken longer
    told = len(jobs.statuses())
    jobs.scene.clock.seconds += 1
    jobs.worker.tell_next()
    jobs.tell()
    assert [it.status for it in jobs.statuses()[told:]] == ["expired"]
    assert jobs.outputs() == []
    assert jobs.scene.audit().broken == []


def test_what_is_over_is_forgotten_when_it_expires(jobs: JobScene) -> None:
    released = jobs.release(jobs.ran())
    failed = jobs.ran("1 / 0", name="fails")
    assert None not in (released.outputs_file, failed.outputs_file, failed.code_file)
    jobs.tell()
    jobs.scene.clock.seconds = released.terms.expires_at
    jobs.worker.tell_next()
    for job in (released, failed):
        after = jobs.job(job.digest)
        assert (after.status, after.code_file, after.outputs_file) == (jobs.job(job.digest).status, None, None)
    assert len(jobs.logged(RequestClosed)) == 0


@pytest.mark.both_databases
def test_a_job_that_cannot_be_tried_has_failed(jobs: JobScene) -> None:
    job = jobs.receive()
    refuse_job(jobs.scene.site, job)
    after = jobs.job(job.digest)
    assert (after.status, after.code_file) == (Status.FAILED, None)
    assert jobs.statuses()[-1].detail == "This site could not try the job on mock data; its owner knows why."
    with pytest.raises(RefusedError):
        jobs.approve(after)
