"""Jobs in the running service: one that lasts holds up neither another researcher's dry run nor a training round."""

import threading
from collections.abc import Iterator

import pytest

from datasites.execution.jobs.zygotes import Zygotes
from datasites.protocol.content import wrap
from datasites.protocol.job_messages import JobCancel, JobStatus, JobSubmission
from datasites.protocol.messages import AdvertisementMessage, MaskedUpdateMessage, RoundStart, SetupStart
from datasites.requests.jobs.records import Status
from tests.datasites.test_service import Relay, Running
from tests.one_job import COUNT, JobScene
from tests.one_study import INITIAL, RUN, STUDY, model

SLEEPS = """
import time
import syft as sy
if "p001" in open(sy.resolve_dataset_file_path("visits")).read():
    time.sleep(300)
"""


@pytest.fixture
def running(jobs: JobScene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    relay = Relay()
    monkeypatch.setattr("datasites.execution.jobs.job_worker.Zygotes", Zygotes)  # they end with the service
    monkeypatch.setattr("datasites.service.Mailbox", lambda *_: relay)
    monkeypatch.setattr("datasites.service.wake_calls", lambda _home: iter(threading.Event().wait, True))
    made = Running(jobs.scene, relay)
    yield made
    made.service.stop()
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_a_job_that_lasts_holds_up_no_dry_run_and_no_round(jobs: JobScene, running: Running) -> None:
    scene = running.scene
    ada, eve = scene.researcher, scene.other_researcher
    terms = jobs.terms({"main.py": SLEEPS.encode()})
    running.write(JobSubmission(job=terms.job, terms=terms.canonical().decode(), code=wrap(SLEEPS.encode())[0]))
    running.until(lambda: scene.count("jobs") == 1)
    running.until(lambda: jobs.job(terms.digest()).status is Status.PENDING)
    jobs.approve(jobs.job(terms.digest()))
    running.service._jobs.wake()
    running.until(lambda: jobs.job(terms.digest()).status is Status.RUNNING)

    hers = jobs.terms({"main.py": COUNT.encode()}, researcher=eve.party)
    message = JobSubmission(job=hers.job, terms=hers.canonical().decode(), code=wrap(COUNT.encode())[0])
    running.write(message, eve)
    running.until(lambda: "pending" in [it.status for it in running.read(JobStatus, eve)])

    study = scene.terms(training={"rounds": 1}, evaluation={"models": []})
    running.write(scene.submission(study, initial_parameters=running.upload(INITIAL)))
    running.until(lambda: scene.count("requests") == 1 and scene.request(study.digest()).status.value == "pending")
    request = scene.approve(scene.request(study.digest()))
    running.write(SetupStart(study=STUDY, run=RUN, terms_digest=study.digest()))
    running.until(lambda: bool(running.read(AdvertisementMessage)))
    running.write(scene.roster(request, running.read(AdvertisementMessage)[0].advertisement))
    running.write(RoundStart(study=STUDY, run=RUN, round=1, model=running.upload(model())))
    running.until(lambda: bool(running.read(MaskedUpdateMessage)))

    assert jobs.job(terms.digest()).status is Status.RUNNING
    running.write(JobCancel(job=terms.job, reason="Done."), ada)
    running.until(lambda: "cancelled" in [it.status for it in running.read(JobStatus)])
    running.until(lambda: not running.service._job_worker._running, 2.0)
