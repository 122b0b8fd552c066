"""P2 at a job's data and outputs: other private files, other outputs, and what its running time tells."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasites.execution.jobs import run_job
from datasites.requests.jobs.records import Status
from datasites.requests.jobs.release import outputs_of, release_digest, release_outputs
from datasites.sandbox.errand import Outcome
from policies.errors import RefusedError
from policies.jobs.endings import told_milliseconds
from policies.log.job_entries import JobEnded
from tests.one_job import PRIVATE, JobScene

OTHER = PRIVATE.replace("p0", "q0")


def other_inode(file: Path) -> None:
    new = file.with_suffix(".new")
    new.write_text(OTHER)
    new.rename(file)


def same_inode(file: Path) -> None:
    """With its times set back: only the change time tells."""
    status = file.stat()
    with file.open("r+") as opened:
        opened.write(OTHER)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def link(file: Path) -> None:
    other = file.with_suffix(".other")
    other.write_text(OTHER)
    file.unlink()
    file.symlink_to(other)


def gone(file: Path) -> None:
    file.unlink()


SWAPS = [other_inode, same_inode, link, gone]
COPIES = """
import syft as sy
open("outputs/all.csv", "w").write(open(sy.resolve_dataset_file_path("visits")).read())
"""


@pytest.mark.parametrize("swap", SWAPS)
def test_a_file_swapped_after_the_approval_is_not_shown_to_the_job(
    jobs: JobScene, swap: Callable[[Path], None]
) -> None:
    job = jobs.approve(jobs.tried(COPIES))
    swap(jobs.private)
    job = jobs.run(job)
    assert (job.status, job.run, job.outputs_file) == (Status.FAILED, None, None)
    jobs.tell()
    assert jobs.statuses()[-1].detail == "This site could not run the job; its owner knows why."
    assert jobs.scene.audit().broken == []


@pytest.mark.parametrize("swap", [same_inode])
def test_a_file_changed_while_the_job_runs_leaves_no_outputs(
    jobs: JobScene, swap: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run_job.with_logs

    def with_logs(*arguments: Any) -> Outcome:
        outcome = plain(*arguments)
        swap(jobs.private)
        return outcome

    monkeypatch.setattr(run_job, "with_logs", with_logs)
    job = jobs.run(jobs.approve(jobs.tried(COPIES)))
    assert (job.status, job.run, job.outputs_file) == (Status.FAILED, None, None)
    assert [it.ending for it in jobs.logged(JobEnded)] == ["interrupted"]
    assert jobs.scene.audit().broken == []


def test_a_file_changed_before_the_inspection_has_the_outputs_wait(jobs: JobScene) -> None:
    jobs.rule("release_clean = true")
    job = jobs.approve(jobs.tried('import json\njson.dump({"mean": 49.5}, open("outputs/result.json", "w"))'))
    assert jobs.worker.run_next()
    same_inode(jobs.private)
    assert jobs.run(job).status is Status.HELD


def test_no_output_hides_from_the_inspection_behind_a_log(jobs: JobScene) -> None:
    """Outputs may be called like logs, and like what the inspection calls a log that shares its name with an output."""
    jobs.rule("release_clean = true")
    code = 'open("outputs/stdout.txt", "w").close()\nopen("outputs/printed-stdout.txt", "w").write("p001 p002")'
    assert jobs.ran('open("outputs/result.txt", "w").close()').status is Status.RELEASED
    for name in ("printed-", "printed-1-"):
        job = jobs.ran(code.replace("printed-", name), name=name)
        assert (job.status, '"check":"identifiers"' in (job.findings or "")) == (Status.HELD, True), job.findings


def test_files_that_were_not_shown_cannot_be_released(jobs: JobScene) -> None:
    """A digest of other files of the same outputs was printed by nobody."""
    job = jobs.ran('open("outputs/a.txt", "w").write("a")\nopen("outputs/b.txt", "w").write("b")')
    files = outputs_of(job, logs=True)
    for chosen in ((), files[:1], files[1:2], files[2:], tuple(reversed(files))):
        with jobs.scene.site.engine.begin() as connection:
            digest = release_digest(connection, jobs.scene.site, job, chosen)
            with pytest.raises(RefusedError, match="as things stand now"):
                release_outputs(connection, jobs.scene.site, digest, jobs.scene.owner_key)


def test_a_release_of_one_attempt_is_none_of_the_next(jobs: JobScene) -> None:
    job = jobs.ran('print("p001")\n1 / 0')
    digest = jobs.shown(job).release_digest_with_logs
    assert digest is not None
    again = jobs.run(jobs.approve(job))
    assert (again.attempt, again.status) == (2, Status.FAILED)
    with jobs.scene.site.engine.begin() as connection, pytest.raises(RefusedError):
        release_outputs(connection, jobs.scene.site, digest, jobs.scene.owner_key)


@pytest.fixture
def lasting(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let each run take so many seconds from now on, by the site's clock."""
    seconds, plain = [0.0], run_job.with_logs

    def with_logs(*arguments: Any) -> Outcome:
        outcome = plain(*arguments)
        jobs.scene.clock.seconds += seconds[0]
        return outcome

    monkeypatch.setattr(run_job, "with_logs", with_logs)

    def last(wanted: float) -> None:
        seconds[0] = wanted

    return last


def test_nothing_tells_when_a_dry_run_ends(jobs: JobScene) -> None:
    """By how fast it was it might tell what an approved job, at the same time, wanted to be known."""
    job = jobs.receive()
    told = jobs.statuses()
    assert [it.status for it in told] == ["pending"]
    assert jobs.worker.try_next()
    assert jobs.job(job.digest).status is Status.PENDING
    assert jobs.statuses() == told


def test_what_a_running_time_tells_takes_few_values(jobs: JobScene, lasting: Callable[[float], None]) -> None:
    """The code chooses how long it runs; its researcher sees what is told and when."""
    seen = set()
    for number, seconds in enumerate((7.1, 7.6, 8.1, 8.6)):
        lasting(seconds)
        job = jobs.approve(jobs.tried(name=str(number)))
        jobs.scene.send_all()
        job = jobs.run(job)
        assert job.tell_at is not None
        assert job.approved_at is not None
        jobs.worker.tell_next()
        assert jobs.scene.letters() == []
        jobs.scene.clock.seconds = job.tell_at / 1000
        jobs.worker.tell_next()
        (told,) = jobs.statuses()
        seen.add((job.tell_at - job.approved_at, told.status, told.detail, told.ending, told.milliseconds))
    assert len(seen) == 1, seen
    assert seen.pop()[0] == told_milliseconds(8000)


def test_what_follows_another_run_tells_nothing_finer_of_it(jobs: JobScene, lasting: Callable[[float], None]) -> None:
    """The second job waits for the first; when it ends is told by the approval that its researcher knows of."""
    seen = set()
    for number, seconds in enumerate((7.1, 7.6, 8.1, 8.6)):
        first, second = (jobs.approve(jobs.tried(name=f"{number} {which}")) for which in ("first", "second"))
        jobs.scene.send_all()
        lasting(seconds)
        assert jobs.worker.run_next()
        assert jobs.worker.run_next()
        lasting(0.0)
        after = jobs.run(second)
        assert jobs.job(first.digest).status is after.status is Status.HELD
        assert jobs.scene.letters() == []
        assert after.tell_at is not None
        assert after.approved_at is not None
        seen.add(after.tell_at - after.approved_at)
        jobs.tell()
    assert len(seen) == 1


def test_asking_again_and_again_tells_nothing_sooner(jobs: JobScene, lasting: Callable[[float], None]) -> None:
    """Submitted once more, a job is told about: it stands as approved until its end may be told."""
    lasting(7.6)
    job = jobs.approve(jobs.tried())
    jobs.scene.send_all()

    def asked() -> object:
        jobs.receive(terms=job.terms)
        return jobs.statuses()[-1]

    before = asked()
    assert jobs.worker.run_next()
    between = asked()
    assert jobs.worker.run_next()
    after = asked()
    jobs.release(jobs.job(job.digest))
    assert before == between == after == asked()
