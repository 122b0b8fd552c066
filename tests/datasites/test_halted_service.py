"""A running service is told of a stop or a revocation by another process, and acts on it at once."""

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from datasites.execution.jobs.zygotes import Zygotes
from datasites.halts.stopped import SITE_STOPPED
from datasites.requests.jobs.records import Status
from datasites.service import Service
from tests.datasites.test_job_service import SLEEPS
from tests.datasites.test_service import Relay, Running
from tests.halting import resume, revoke, stop
from tests.one_job import JobScene


@pytest.fixture
def calls() -> Queue[None]:
    """Calls that wake the service, as other processes send them."""
    return Queue()


@pytest.fixture
def running(jobs: JobScene, calls: Queue[None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr("datasites.execution.jobs.job_worker.Zygotes", Zygotes)  # they end with the service
    monkeypatch.setattr("datasites.service.Mailbox", lambda *_: Relay())
    monkeypatch.setattr("datasites.service.wake_calls", lambda _home: iter(calls.get, 0))
    made = Running(jobs.scene, Relay())
    yield made
    made.service.stop()
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_jobs_that_run_are_killed_at_once(jobs: JobScene, running: Running, calls: Queue[None]) -> None:
    scene = jobs.scene

    def wait_for(digest: str, status: Status) -> None:
        calls.put(None)
        running.until(lambda: jobs.job(digest).status is status)

    first, second = (jobs.receive(SLEEPS, name=name) for name in ("first", "second"))
    for job in (first, second):
        wait_for(job.digest, Status.PENDING)
    jobs.approve(first)
    wait_for(first.digest, Status.RUNNING)
    jobs.approve(second)
    stop(scene)
    wait_for(first.digest, Status.FAILED)
    assert jobs.job(second.digest).status is Status.APPROVED
    resume(scene)
    wait_for(second.digest, Status.RUNNING)
    revoke(scene, second)
    calls.put(None)
    running.until(lambda: not running.service._job_worker._running, 5.0)
    assert jobs.job(second.digest).status is Status.REVOKED
    assert scene.audit().broken == []


def test_a_service_that_starts_says_that_the_site_is_stopped(
    jobs: JobScene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop(jobs.scene)
    job = jobs.receive()
    monkeypatch.setattr("datasites.service.Mailbox", lambda *_: Relay())
    service = Service(jobs.scene.site)
    thread = threading.Thread(target=service.run)
    thread.start()
    said = ""
    while SITE_STOPPED not in said:
        thread.join(0.05)
        said += capsys.readouterr().err
    service.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert jobs.job(job.digest).status is Status.RECEIVED
