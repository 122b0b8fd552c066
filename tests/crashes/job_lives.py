"""Lives of jobs at one datasite, with a sandbox that answers at once: what is killed is the datasite, not the job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from datasites.execution.jobs.job_worker import JobWorker
from datasites.protocol.content import wrap
from datasites.protocol.job_messages import JobCancel, JobOutputs, JobSubmission
from datasites.requests.jobs.records import Job, Status, all_jobs
from datasites.sandbox.errand import Errand, Outcome, Output
from policies.disclosure.findings import collect
from policies.jobs.release import LOGS
from policies.log.job_entries import JobStarted
from tests.crashes.lives import Life, Memory, Step, letter
from tests.one_job import COUNT, JobScene, new_job_scene
from tests.one_site import Scene

RESULT = b'{"rows": 200}'


class InstantZygotes:
    """Sandboxes without processes: every script writes one result, and every inspection finds nothing."""

    @contextmanager
    def of(self, _researcher: str) -> Iterator["InstantZygotes"]:
        yield self

    def run(self, errand: Errand, write: Callable[[bytes], object], _cancel: object) -> Outcome:
        inspects = errand.program == "inspection"
        content = collect(["result.json", *LOGS], ()).canonical() if inspects else RESULT
        write(content)
        return Outcome(
            ending="finished",
            error="",
            outputs=(Output("findings.json" if inspects else "result.json", len(content)),),
            left_out=(),
            stdout=b"",
            stderr=b"",
            wall_seconds=0.1,
            cpu_seconds=0.1,
            peak_memory_bytes=1 << 20,
            layers=("seccomp",),
        )


def jobs_of(scene: Scene) -> JobScene:
    """The scene as one of jobs."""
    with patch("datasites.execution.jobs.job_worker.Zygotes", InstantZygotes):
        return JobScene(scene, JobWorker(scene.site), scene.site.home.folder.parent / "visits.csv")


def only_job(scene: Scene) -> Job:
    """The life's job."""
    with scene.site.engine.begin() as connection:
        (job,) = all_jobs(connection)
    return job


def begin_with_jobs(folder: Path, database: str) -> Scene:
    """A site with a table that jobs may see."""
    return new_job_scene(folder, database).scene


def _submission(scene: Scene) -> JobSubmission:
    terms = jobs_of(scene).terms({"main.py": COUNT.encode()})
    return JobSubmission(job=terms.job, terms=terms.canonical().decode(), code=wrap(COUNT.encode())[0])


def _try(scene: Scene, _memory: Memory) -> None:
    while jobs_of(scene).worker.try_next():
        pass


def _approve(scene: Scene, _memory: Memory) -> None:
    if (job := only_job(scene)).status in (Status.PENDING, Status.FAILED):
        jobs_of(scene).approve(job)


def _run(scene: Scene, memory: Memory) -> None:
    _approve(scene, memory)  # anew, where the execution was cut off: it is never begun again by itself
    jobs_of(scene).run(only_job(scene))


def _release(scene: Scene, _memory: Memory) -> None:
    if (job := only_job(scene)).status is Status.HELD:
        jobs_of(scene).release(job)


def _an_hour_later(scene: Scene, memory: Memory) -> None:
    memory.seconds = scene.clock.seconds = memory.seconds + 3600


def _tell(scene: Scene, _memory: Memory) -> None:
    while jobs_of(scene).worker.tell_next() == 0:
        pass


def _ends_as(status: Status, outputs: int) -> Callable[[Scene], None]:
    def ended(scene: Scene) -> None:
        job, jobs = only_job(scene), jobs_of(scene)
        assert job.status is status
        sent = [it for it in scene.letters() if isinstance(it, JobOutputs)]
        assert len(sent) == outputs
        assert len(jobs.logged(JobStarted)) == job.attempt

    return ended


SUBMITTED = letter("submission", _submission)
CANCELLED = letter("cancel", lambda scene: JobCancel(job=only_job(scene).terms.job, reason="Enough."))
TRIED, APPROVED, RAN = Step("try", _try), Step("approve", _approve), Step("run", _run)
RELEASED, TOLD = Step("release", _release), Step("tell", _tell, _an_hour_later)
HELD = (SUBMITTED, TRIED, APPROVED, RAN)

JOB_LIVES = (
    Life("job released", (*HELD, RELEASED, TOLD), _ends_as(Status.RELEASED, 1), begin=begin_with_jobs),
    Life(
        "job cancelled",
        (SUBMITTED, TRIED, APPROVED, CANCELLED),
        _ends_as(Status.CANCELLED, 0),
        3,
        begin_with_jobs,
    ),
)
