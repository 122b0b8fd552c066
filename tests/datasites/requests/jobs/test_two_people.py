"""Where the house rules ask for two persons, a job waits for the second, and so do its outputs."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.people.approvals import Approvals
from datasites.requests.jobs.decide import approve_job, deny_job
from datasites.requests.jobs.records import Job, Status
from datasites.requests.jobs.release import outputs_of, release_digest, release_outputs, withhold_outputs
from policies.errors import ConflictError
from policies.log.job_entries import JobDecided, OutputsReleased, ReleaseDecided
from tests.one_job import JobScene
from tests.site_people import Holder, ask_for, fire, hire


@pytest.fixture
def bea(jobs: JobScene) -> Holder:
    ask_for(jobs.scene, jobs=2, releases=2)
    return hire(jobs.scene, Holder("Bea"))


def approve_with(jobs: JobScene, job: Job, key: Ed25519PrivateKey) -> Job:
    digest = jobs.shown(job).approval_digest
    with jobs.scene.site.engine.begin() as connection:
        return approve_job(connection, jobs.scene.site, digest, key)


def release_with(jobs: JobScene, job: Job, key: Ed25519PrivateKey) -> Job:
    with jobs.scene.site.engine.begin() as connection:
        shown = release_digest(connection, jobs.scene.site, job, outputs_of(job, logs=False))
        return release_outputs(connection, jobs.scene.site, shown, key)


def test_the_second_approval_lets_it_run_and_the_second_release_lets_it_go(jobs: JobScene, bea: Holder) -> None:
    job = jobs.tried()
    told = len(jobs.statuses())
    assert approve_with(jobs, job, bea.key).status is Status.PENDING
    assert jobs.shown(job).approvals == Approvals(("Bea",), 2)
    assert (len(jobs.logged(JobDecided)), len(jobs.statuses())) == (1, told)
    assert not jobs.worker.run_next()
    approved = jobs.approve(job)
    assert approved.decision is not None
    assert (approved.status, len(approved.decision.signed)) == (Status.APPROVED, 2)
    job = jobs.run(approved)
    assert release_with(jobs, job, jobs.scene.owner_key).status is Status.HELD
    assert jobs.shown(job).release_approvals == Approvals(("the owner",), 2)
    assert jobs.shown(job).release_approvals_with_logs == Approvals((), 2)
    with pytest.raises(ConflictError, match="already"):
        release_with(jobs, job, jobs.scene.owner_key)
    jobs.tell()
    assert jobs.outputs() == []
    assert release_with(jobs, job, bea.key).status is Status.RELEASED
    jobs.tell()
    assert len(jobs.outputs()) == 1
    assert (len(jobs.logged(ReleaseDecided)), len(jobs.logged(OutputsReleased))) == (2, 1)
    report = jobs.scene.audit()
    assert report.broken == []
    assert "Signed by: Bea 2, the owner 2." in " ".join(report.proved)


def test_one_person_is_enough_to_say_no(jobs: JobScene, bea: Holder) -> None:
    job = jobs.tried()
    approve_with(jobs, job, bea.key)
    with jobs.scene.site.engine.begin() as connection:
        denied = deny_job(connection, jobs.scene.site, job.number, "Not now.", bea.key)
    assert (denied.status, denied.detail) == (Status.DENIED, "Bea denied: Not now.")
    other = jobs.tried(name="another")
    approve_with(jobs, other, bea.key)
    other = jobs.run(jobs.approve(other))
    release_with(jobs, other, bea.key)
    with jobs.scene.site.engine.begin() as connection:
        kept = withhold_outputs(connection, jobs.scene.site, other.number, "Too fine.", bea.key)
    assert (kept.status, kept.detail) == (Status.WITHHELD, "Bea withheld: Too fine.")
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
def test_what_the_dismissed_said_does_not_wait_for_the_second(jobs: JobScene, bea: Holder) -> None:
    job = jobs.tried()
    approve_with(jobs, job, bea.key)
    job = jobs.run(jobs.approve(job))
    release_with(jobs, job, bea.key)
    jobs.scene.clock.seconds += 10
    fire(jobs.scene, bea)
    assert release_with(jobs, job, jobs.scene.owner_key).status is Status.HELD
    cem = hire(jobs.scene, Holder("Cem"))
    assert release_with(jobs, job, cem.key).status is Status.RELEASED
    jobs.tell()
    assert len(jobs.outputs()) == 1
    assert jobs.scene.audit().broken == []


def test_until_the_second_approval_a_failed_job_keeps_what_it_wrote(jobs: JobScene, bea: Holder) -> None:
    job = jobs.tried("print('half')\nraise SystemExit(3)")
    approve_with(jobs, job, bea.key)
    job = jobs.run(jobs.approve(job))
    assert (job.status, job.run is not None) == (Status.FAILED, True)
    approve_with(jobs, job, bea.key)
    waiting = jobs.job(job.digest)
    assert (waiting.status, waiting.run, waiting.outputs_file) == (Status.FAILED, job.run, job.outputs_file)
    assert jobs.approve(job).status is Status.APPROVED
    assert jobs.job(job.digest).run is None
    jobs.run(job)
    assert jobs.scene.audit().broken == []
