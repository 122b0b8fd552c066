"""What leaves of a job's outputs: what the owner signed, or what an approval lets go."""

import pytest

from datasites.protocol.content import LetterContent
from datasites.requests.jobs.records import Status
from datasites.requests.jobs.release import release_digest
from policies.errors import ConflictError, RefusedError
from policies.log.job_entries import JobEnded, OutputsInspected, OutputsReleased, ReleaseDecided
from tests.one_job import PRIVATE, JobScene

FAILS = 'open("outputs/half.txt", "w").write("half")\nprint("secret of p001")\nraise KeyError("p001")'


def sent(jobs: JobScene) -> dict[str, bytes]:
    """The one release that was sent, by kind and name."""
    (message,) = jobs.outputs()
    assert isinstance(message.content, LetterContent)
    content, found = message.content.plain(), {}
    for file in message.files:
        found[f"{file.kind}/{file.path}"], content = content[: file.size], content[file.size :]
    assert not content
    return found


def test_outputs_go_without_what_was_printed(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran())
    assert job.status is Status.RELEASED
    jobs.tell()
    assert sent(jobs) == {"output/result.json": b'{"rows": 200}'}
    assert (jobs.statuses()[-1].status, jobs.statuses()[-1].ending) == ("released", "finished")


def test_what_was_printed_goes_only_where_the_owner_says_so(jobs: JobScene) -> None:
    jobs.release(jobs.ran(), logs=True)
    jobs.tell()
    assert sent(jobs) == {"output/result.json": b'{"rows": 200}', "log/stdout.txt": b"counted\n", "log/stderr.txt": b""}


def test_two_releases_have_two_digests(jobs: JobScene) -> None:
    job = jobs.ran()
    shown = jobs.shown(job)
    digests = {shown.release_digest, shown.release_digest_with_logs}
    assert len(digests - {None}) == 2
    assert jobs.shown(jobs.ran(name="again")).release_digest not in digests


def test_a_release_is_given_once_and_sent_once(jobs: JobScene) -> None:
    job = jobs.ran()
    jobs.release(job)
    with pytest.raises(ConflictError):
        jobs.release(jobs.job(job.digest))
    jobs.tell()
    jobs.tell()
    assert len(jobs.outputs()) == 1
    assert len(jobs.logged(ReleaseDecided)) == len(jobs.logged(OutputsReleased)) == 1
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
def test_what_is_withheld_is_forgotten(jobs: JobScene) -> None:
    job = jobs.withhold(jobs.ran())
    assert (job.status, job.outputs_file) == (Status.WITHHELD, None)
    jobs.tell()
    assert jobs.outputs() == []
    assert jobs.statuses()[-1].detail == "The owner withheld: Too fine."
    with pytest.raises(ConflictError):
        jobs.release(job)
    assert jobs.scene.audit().broken == []


def test_outputs_that_do_not_exist_cannot_be_decided_on(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    with pytest.raises(ConflictError):
        jobs.withhold(job)
    with jobs.scene.site.engine.begin() as connection, pytest.raises(ConflictError):
        release_digest(connection, jobs.scene.site, job, ())


def test_of_a_failed_job_a_researcher_learns_the_kind_of_error_only(jobs: JobScene) -> None:
    job = jobs.ran(FAILS)
    assert job.status is Status.FAILED
    jobs.tell()
    told = jobs.statuses()[-1]
    assert (told.status, told.ending) == ("failed", "failed")
    assert told.detail == "Its code failed with an error of kind KeyError."
    assert "p001" not in told.canonical().decode()
    assert jobs.outputs() == []


def test_what_a_failed_job_printed_goes_by_the_owners_word(jobs: JobScene) -> None:
    job = jobs.release(jobs.ran(FAILS), logs=True)
    assert job.status is Status.FAILED
    jobs.tell()
    found = sent(jobs)
    assert found["log/stdout.txt"] == b"secret of p001\n"
    assert b"KeyError" in found["log/stderr.txt"]
    assert jobs.scene.audit().broken == []


def test_a_failed_job_runs_again_under_a_new_approval(jobs: JobScene) -> None:
    first = jobs.ran(FAILS)
    digest = jobs.shown(first).approval_digest
    jobs.approve(first, digest)
    again = jobs.run(first)
    assert (again.attempt, again.status, again.release) == (2, Status.FAILED, None)
    assert [it.attempt for it in jobs.logged(JobEnded)] == [1, 2]
    with pytest.raises(RefusedError):
        jobs.approve(first, digest)
    assert jobs.scene.audit().broken == []


CLEAN = 'import json\njson.dump({"mean age": 49.5}, open("outputs/result.json", "w"))'


def test_clean_outputs_go_by_themselves_where_the_approval_says_so(jobs: JobScene) -> None:
    jobs.rule("release_clean = true")
    job = jobs.ran(CLEAN)
    assert job.status is Status.RELEASED, job.findings
    jobs.tell()
    assert list(sent(jobs)) == ["output/result.json"]
    (released,) = jobs.logged(OutputsReleased)
    assert released.ground == "clean"
    assert jobs.scene.audit().broken == []


def test_clean_outputs_wait_where_it_does_not(jobs: JobScene) -> None:
    job = jobs.ran(CLEAN)
    jobs.rule("release_clean = true")
    jobs.tell()
    assert (job.status, jobs.outputs()) == (Status.HELD, [])
    (inspected,) = jobs.logged(OutputsInspected)
    assert inspected.clean


LEAKS = """
import syft as sy
open("outputs/rows.csv", "w").write(open(sy.resolve_dataset_file_path("visits")).read())
"""


@pytest.mark.parametrize("code", [LEAKS, CLEAN + '\nopen("outputs/x.bin", "wb").write(b"\\x00")', CLEAN + "\nexit(1)"])
def test_nothing_else_goes_by_itself(jobs: JobScene, code: str) -> None:
    jobs.rule("release_clean = true")
    job = jobs.ran(code)
    assert job.status in (Status.HELD, Status.FAILED)
    jobs.tell()
    assert jobs.outputs() == []


def test_an_output_that_the_dry_run_did_not_write_waits(jobs: JobScene) -> None:
    jobs.rule("release_clean = true")
    code = (
        CLEAN
        + """
import syft as sy
if len(open(sy.resolve_dataset_file_path("visits")).readlines()) > 100:
    open("outputs/more.json", "w").write("1")
"""
    )
    assert jobs.ran(code).status is Status.HELD


@pytest.mark.both_databases
def test_outputs_that_cannot_be_inspected_wait(jobs: JobScene) -> None:
    """By rules that somebody changed, and beside files that are not those that the job saw."""
    jobs.rule("release_clean = true")
    job = jobs.approve(jobs.tried(CLEAN))
    other = jobs.approve(jobs.tried(CLEAN, name="other"))
    assert jobs.worker.run_next()
    adopted = jobs.scene.rules().signed.canonical().decode()
    jobs.scene.tamper("UPDATE adopted_rules SET statement = '{}' WHERE number = 2")
    assert jobs.worker.run_next()
    assert jobs.job(job.digest).status is Status.HELD
    jobs.scene.tamper("UPDATE adopted_rules SET statement = :it WHERE number = 2", it=adopted)
    assert jobs.worker.run_next()
    jobs.register(content=PRIVATE.replace("p0", "q0"))
    assert jobs.worker.run_next()
    assert jobs.job(other.digest).status is Status.HELD


def test_outputs_that_are_too_large_to_be_sent_are_not_released(
    jobs: JobScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.ran()
    monkeypatch.setattr("datasites.requests.jobs.release.MAXIMUM_OUTPUT_BYTES", 3)
    with pytest.raises(RefusedError, match="at most 3 can be sent"):
        jobs.release(job)
