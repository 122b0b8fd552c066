"""The jobs' worker: whose turn it is, what one execution may bring, and that no approval ever runs twice."""

import threading
import time
from collections.abc import Callable

import pytest

from datasites.execution.jobs.job_worker import JobWorker
from datasites.execution.jobs.run_job import Begun, begin_next_job
from datasites.execution.jobs.zygotes import Zygotes
from datasites.protocol.identity import Identity
from datasites.requests.jobs.records import Status
from datasites.site import open_site
from policies.disclosure.findings import parse_findings
from policies.jobs.terms import JobLimits
from policies.log.job_entries import JobEnded, JobStarted, JobTried
from tests.one_job import JobScene

SLEEPS = "import time\ntime.sleep(60)"


def submitted_by(jobs: JobScene, who: Identity, name: str) -> str:
    return jobs.receive(sender=who.card, researcher=who.party, name=name).digest


def statuses(jobs: JobScene, digests: list[str]) -> list[Status]:
    return [jobs.job(it).status for it in digests]


def test_researchers_take_turns_at_the_dry_runs(jobs: JobScene) -> None:
    ada, eve = jobs.scene.researcher, jobs.scene.other_researcher
    first, second = submitted_by(jobs, ada, "1"), submitted_by(jobs, ada, "2")
    hers = submitted_by(jobs, eve, "3")
    for done in ([first], [first, hers], [first, hers, second]):
        assert jobs.worker.try_next()
        assert statuses(jobs, done) == [Status.PENDING] * len(done)
        waiting = {first, second, hers} - set(done)
        assert statuses(jobs, list(waiting)) == [Status.RECEIVED] * len(waiting)
    assert not jobs.worker.try_next()


def test_a_dry_run_gets_little_whatever_the_terms_ask_for(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasites.execution.jobs.errands._LONGEST_DRY_RUN_SECONDS", 1)
    jobs.rule("maximum_disk_mib = 1")
    week = JobLimits(wall_seconds=604_800, memory_mib=2048, disk_mib=65_536)
    slow = jobs.tried(SLEEPS, limits=week)
    assert slow.dry_run is not None
    assert (slow.status, slow.dry_run.ending) == (Status.PENDING, "timed-out")
    large = jobs.tried('open("outputs/x", "wb").write(bytes(2 << 20))', limits=week, name="large")
    assert large.dry_run is not None
    assert large.dry_run.ending == "failed"


def test_the_dry_run_sees_mock_data_only(jobs: JobScene) -> None:
    code = 'import syft as sy\nprint(open(sy.resolve_dataset_file_path("visits")).read())'
    job = jobs.tried(code)
    assert job.dry_run is not None
    assert "m001" in job.dry_run.printed
    assert "p001" not in job.dry_run.printed


@pytest.mark.parametrize(
    "code",
    [
        'for n in range(700): open(f"outputs/{n}.txt", "w").write("x")',
        'open("outputs/" + "a" * 128, "w")',
        'import os\nos.makedirs("outputs/" + "/".join(["b" * 60] * 6))\n'
        'open("outputs/" + "/".join(["b" * 60] * 6) + "/x", "w")',
        'open("outputs/a\\u202eb", "w"), open("outputs/.hidden", "w"), open("outputs/[bold]", "w")',
        'import os\nos.symlink("/etc/passwd", "outputs/link")',
        'open("outputs/stdout.txt", "w").write("mine")',
        'print("\\x1b[2J\\u202e" * 1000)',
        'import sys\nsys.stdout.buffer.write(b"\\xff\\xfe" * 5000)',
    ],
)
def test_whatever_a_job_leaves_is_written_down(jobs: JobScene, code: str) -> None:
    """Each of these once ended the thread that it met, or might."""
    job = jobs.ran(code)
    assert job.status is Status.HELD
    assert job.run is not None
    assert len(job.run.files) <= 402
    assert jobs.scene.audit().broken == []


def test_an_output_that_is_called_like_a_log_is_none(jobs: JobScene) -> None:
    job = jobs.ran('open("outputs/stdout.txt", "w").write("mine")\nprint("ours")')
    assert job.run is not None
    assert [(it.kind, it.path, it.size) for it in job.run.files if it.path == "stdout.txt"] == [
        ("output", "stdout.txt", 4),
        ("log", "stdout.txt", 5),
    ]


@pytest.mark.both_databases
def test_threads_that_begin_at_once_begin_each_approval_once(jobs: JobScene) -> None:
    for number in range(4):
        jobs.approve(jobs.tried(name=str(number)))
    sites = [jobs.scene.site, *(open_site(jobs.scene.site.home, jobs.scene.clock) for _ in range(3))]
    begun, gate = list[Begun | None](), threading.Barrier(8)

    def begin(number: int) -> None:
        gate.wait()
        begun.extend(begin_next_job(sites[number % 4]) for _ in range(3))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(it.job.number for it in begun if it is not None) == [1, 2, 3, 4]
    assert len(jobs.logged(JobStarted)) == 4


@pytest.mark.both_databases
def test_two_workers_run_each_approval_once(jobs: JobScene) -> None:
    for number in range(3):
        jobs.approve(jobs.tried(name=str(number)))
    workers = [jobs.worker, JobWorker(open_site(jobs.scene.site.home, jobs.scene.clock))]

    def work(worker: JobWorker) -> None:
        while worker.run_next():
            pass

    threads = [threading.Thread(target=work, args=(it,)) for it in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [it.attempt for it in jobs.logged(JobStarted)] == [1, 1, 1]
    assert len(jobs.logged(JobEnded)) == 3
    assert jobs.scene.audit().broken == []


def test_what_was_cut_short_has_failed_and_runs_again_only_by_a_new_approval(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    assert begin_next_job(jobs.scene.site) is not None
    jobs.worker.take_up_interrupted()
    after = jobs.run(job)
    assert (after.status, after.attempt) == (Status.FAILED, 1)
    jobs.tell()
    assert jobs.statuses()[-1].detail.startswith("The datasite was stopped while the job ran")
    jobs.approve(job)
    assert (jobs.run(job).status, jobs.job(job.digest).attempt) == (Status.HELD, 2)
    assert jobs.scene.audit().broken == []


def test_what_had_ended_is_inspected_after_a_restart(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried())
    assert jobs.worker.run_next()
    jobs.worker.take_up_interrupted()
    assert jobs.run(job).status is Status.HELD
    assert len(jobs.logged(JobStarted)) == 1


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def begun_running(jobs: JobScene) -> None:
    deadline = time.monotonic() + 30
    while not jobs.worker._running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)


def test_a_dry_run_that_the_datasite_stops_is_done_anew(jobs: JobScene) -> None:
    job = jobs.receive(SLEEPS)
    thread = in_thread(jobs.worker.try_next)
    begun_running(jobs)
    for digest in list(jobs.worker._running):
        jobs.worker._stop(digest)
    thread.join(5)
    assert not thread.is_alive()
    assert jobs.job(job.digest).status is Status.RECEIVED
    assert jobs.logged(JobTried) == []


def test_a_running_job_that_expires_is_stopped(jobs: JobScene) -> None:
    quick = "import syft as sy, time\nif 'p001' in open(sy.resolve_dataset_file_path('visits')).read(): time.sleep(60)"
    job = jobs.approve(jobs.tried(quick))
    thread = in_thread(jobs.worker.run_next)
    begun_running(jobs)
    jobs.scene.clock.seconds = job.terms.expires_at
    jobs.worker.tell_next()
    thread.join(5)
    assert not thread.is_alive()
    assert jobs.job(job.digest).status is Status.EXPIRED
    assert jobs.scene.audit().broken == []


def test_a_worker_that_was_stopped_begins_nothing(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.approve(jobs.tried())
    monkeypatch.setattr(jobs.worker, "_ending", True)
    assert not jobs.worker.run_next()
    assert jobs.job(job.digest).status is Status.APPROVED


def test_a_sandbox_that_is_not_warm_yet_runs_and_inspects(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> None:
    zygotes = Zygotes()
    monkeypatch.setattr(jobs.worker, "_zygotes", zygotes)
    try:
        job = jobs.ran('import json\njson.dump({"mean age": 49.5}, open("outputs/result.json", "w"))')
    finally:
        zygotes.end_all()
    assert job.findings is not None
    assert parse_findings(job.findings.encode()).clean, job.findings
