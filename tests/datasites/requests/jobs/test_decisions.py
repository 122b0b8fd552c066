"""The owner's decision on a job: what its digest covers, what stands against it, and what it changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.jobs.decide import approve_job
from datasites.requests.jobs.records import Job, Status
from policies.errors import ConflictError, NotAuthenticError, RefusedError
from policies.jobs.terms import JobLimits
from policies.log.job_entries import JobDecided
from tests.one_job import COUNT, PRIVATE, JobScene


def test_the_owner_is_shown_who_asks_for_what(jobs: JobScene) -> None:
    shown = jobs.shown(jobs.tried())
    assert (shown.researcher.name, shown.contact, shown.release, shown.obstacles) == ("ada", None, "by-hand", ())
    assert dict(shown.code) == {"main.py": COUNT.encode()}
    assert "1 file of Python" in shown.summary
    assert "«visits»" in shown.summary


def dry_run(jobs: JobScene, job: Job) -> None:
    assert job.dry_run is not None
    facts = job.dry_run.files[0].model_copy(update={"path": "other.json"})
    other = job.dry_run.model_copy(update={"files": (facts, *job.dry_run.files[1:])})
    jobs.scene.tamper("UPDATE jobs SET dry_run = :it", it=other.canonical().decode())


CHANGES: dict[str, Callable[[JobScene, Job], object]] = {
    "the files are registered again with other content": lambda jobs, _: jobs.register(content=PRIVATE + "p999,20,0\n"),
    "the house rules let clean outputs go": lambda jobs, _: jobs.rule("release_clean = true"),
    "the dry run wrote something else": dry_run,
    "it is the next execution": lambda jobs, _: jobs.scene.tamper("UPDATE jobs SET attempt = 1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_makes_another_digest(jobs: JobScene, change: str) -> None:
    job = jobs.tried()
    before = jobs.shown(job).approval_digest
    CHANGES[change](jobs, job)
    after = jobs.shown(job).approval_digest
    assert after != before
    with pytest.raises(RefusedError, match="as things stand now"):
        jobs.approve(job, before)
    assert jobs.job(job.digest).status is Status.PENDING
    assert jobs.approve(job, after).status is Status.APPROVED


def test_files_that_are_registered_again_as_they_are_keep_the_digest(jobs: JobScene) -> None:
    job = jobs.tried()
    before = jobs.shown(job).approval_digest
    jobs.register()
    assert jobs.shown(job).approval_digest == before


def test_an_approval_is_signed_logged_and_told(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    assert job.decision is not None
    decision = job.decision.decision
    assert (decision.verdict, decision.attempt, decision.outputs) == ("approve", 1, ("result.json",))
    assert tuple(it.signed for it in jobs.logged(JobDecided)) == job.decision.signed
    assert (jobs.statuses()[-1].status, jobs.statuses()[-1].decision) == ("approved", job.decision)


def test_no_other_key_decides(jobs: JobScene) -> None:
    digest = jobs.shown(jobs.tried()).approval_digest
    with jobs.scene.site.engine.begin() as connection, pytest.raises(NotAuthenticError):
        approve_job(connection, jobs.scene.site, digest, Ed25519PrivateKey.generate())
    assert jobs.logged(JobDecided) == []


def test_a_job_that_was_not_tried_yet_cannot_be_approved(jobs: JobScene) -> None:
    job = jobs.receive()
    with pytest.raises(RefusedError):
        jobs.approve(job)


def test_an_approval_is_given_once(jobs: JobScene) -> None:
    job = jobs.tried()
    digest = jobs.shown(job).approval_digest
    jobs.approve(job, digest)
    with pytest.raises(RefusedError):
        jobs.approve(job, digest)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("maximum_minutes = 1", "1 minutes"),
        ("maximum_memory_mib = 256", "256"),
        ("maximum_disk_mib = 1", "write"),
    ],
)
def test_the_house_rules_stand_against_an_approval(jobs: JobScene, rule: str, sentence: str) -> None:
    job = jobs.tried(limits=JobLimits(wall_seconds=120, memory_mib=2048, disk_mib=64))
    jobs.rule(rule)
    digest = jobs.shown(job).approval_digest
    assert sentence in " ".join(jobs.shown(job).obstacles)
    with pytest.raises(RefusedError, match=sentence):
        jobs.approve(job, digest)


def test_more_private_files_than_can_be_shown_stand_against_an_approval(jobs: JobScene, tmp_path: Path) -> None:
    names = ("one", "two", "three")
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(70):
            (tmp_path / name / f"{number}.csv").write_text(f"{name}{number}")
        jobs.register(name, private=tmp_path / name)
    job = jobs.tried("", data_sets=names)
    assert "see 210 private files; at most 200" in " ".join(jobs.shown(job).obstacles)
    with pytest.raises(RefusedError, match="210 private files"):
        jobs.approve(job)


def test_under_rules_that_cannot_be_read_nothing_is_approved(jobs: JobScene) -> None:
    job = jobs.tried()
    digest = jobs.shown(job).approval_digest
    jobs.scene.site.home.house_rules_file.write_text("maximum_days = 0")
    with pytest.raises(RefusedError, match="not what the owner adopted"):
        jobs.approve(job, digest)


def test_what_has_expired_cannot_be_approved(jobs: JobScene) -> None:
    job = jobs.tried()
    digest = jobs.shown(job).approval_digest
    jobs.scene.clock.seconds += 90_000
    with pytest.raises(RefusedError, match="expired"):
        jobs.approve(job, digest)


@pytest.mark.both_databases
def test_a_denied_job_is_over_and_its_code_forgotten(jobs: JobScene) -> None:
    job = jobs.deny(jobs.tried(), "Ask the \x1b[31mward.")
    assert (job.status, job.code_file) == (Status.DENIED, None)
    told = jobs.statuses()[-1]
    assert (told.status, told.decision) == ("denied", job.decision)
    assert told.detail == "The owner denied: Ask the \ufffd[31mward."
    for again in (jobs.approve, jobs.deny):
        with pytest.raises((ConflictError, RefusedError)):
            again(job)
    assert jobs.run(job).status is Status.DENIED
    assert jobs.scene.audit().broken == []


def test_only_a_pending_job_can_be_denied(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    with pytest.raises(ConflictError, match="approved"):
        jobs.deny(job)
