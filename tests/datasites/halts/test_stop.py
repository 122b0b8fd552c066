"""One word stops everything on the site, another lets it go on where it was; each resumption ends one stop."""

import threading

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.execution.answer_round import answer_round
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.halts.stopped import SITE_STOPPED
from datasites.protocol.messages import RoundRefused
from datasites.requests.close import close_expired
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.records import Status
from policies.errors import ConflictError, NotAuthenticError, RefusedError
from tests.halting import reserved, resume, revoke, stop
from tests.one_job import JobScene
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY, PARAMETERS
from tests.site_folder import owner_key
from tests.site_people import Holder, hire

SLEEPS_ON_PRIVATE_FILES = """
import time
import syft as sy
if "p000" in open(sy.resolve_dataset_file_path("visits")).read():
    time.sleep(600)
"""
NOISE = {"training": {"noise_multiplier": 40.0}, "evaluation": {"noise_multiplier": 40.0}}


def result() -> RoundResult:
    return RoundResult(np.array([20.0, 5.0]), iter((np.zeros(PARAMETERS, np.float32),)), ("seccomp",))


def refused_rounds(scene: Scene) -> list[int]:
    return [
        it.round for it in scene.letters(RoundRefused) if isinstance(it, RoundRefused) and it.reason == SITE_STOPPED
    ]


def test_nothing_is_approved_and_what_waits_can_be_approved_afterwards(scene: Scene) -> None:
    pending = scene.submit()
    stop(scene)
    with pytest.raises(RefusedError, match="stopped"):
        scene.approve(pending)
    assert scene.submit(OTHER_STUDY).status is Status.PENDING
    resume(scene)
    assert scene.approve(pending).status is Status.APPROVED
    assert scene.audit().broken == []


def test_a_round_that_waits_is_told_of_and_goes_on_afterwards(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    stop(scene)
    assert refused_rounds(scene) == [1]
    assert scene.charge() is None
    with pytest.raises(RefusedError, match="stopped"):
        scene.ask(request, 1)
    resume(scene)
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    assert len(scene.updates()) == 1
    assert scene.audit().broken == []


def test_an_answer_that_waits_for_witnesses_goes_out_with_the_resumption(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    answer_round(scene.site, assignment, result())
    stop(scene)
    scene.witness()
    assert not scene.updates()
    resume(scene)
    assert len(scene.updates()) == 1
    assert scene.audit().broken == []


@pytest.mark.parametrize("retries", [0, 1])
def test_a_round_that_is_being_computed_is_interrupted(
    scene: Scene, retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process had stopped there: a reserved retry computes it again, without one its study ends."""
    request = scene.ready(training={"retries": retries})
    scene.ask(request, 1)
    worker = Worker(scene.site, Trainers(scene.site))

    def compute(*_: object) -> RoundResult:
        stop(scene)
        raise TrainerFailedError("It was killed.", was_killed=True)

    monkeypatch.setattr(Trainers, "compute", compute)
    assert worker.work()
    assert not worker.work()
    assert scene.request(request.digest).status is Status.RUNNING
    resume(scene)
    monkeypatch.setattr(Trainers, "compute", lambda *_: result())
    assert worker.work() == bool(retries)
    scene.witness()
    assert len(scene.updates()) == retries
    assert scene.request(request.digest).status is (Status.RUNNING if retries else Status.FAILED)
    assert scene.audit().broken == []


def test_trainers_with_data_are_killed_by_a_halt_and_others_stay(scene: Scene) -> None:
    class Child:
        killed = False

        def kill(self) -> None:
            self.killed = True

    going = scene.ready(**NOISE)
    ended, checked = scene.approved(OTHER_STUDY, **NOISE), scene.receive(scene.terms("3" * 32, **NOISE))
    worker = Worker(scene.site, Trainers(scene.site))
    children = {it.digest: Child() for it in (going, ended, checked)}
    worker.trainers._running.update(children)  # type: ignore[arg-type]
    worker.trainers._loaded.update(dict.fromkeys((going.digest, ended.digest)))  # type: ignore[arg-type]
    revoke(scene, ended)
    worker.stop_halted()
    assert [it.killed for it in children.values()] == [False, True, False]
    stop(scene)
    worker.stop_halted()
    assert [it.killed for it in children.values()] == [True, True, False]


def test_the_result_of_a_round_that_ends_after_the_stop_is_not_kept(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    stop(scene)
    with pytest.raises(ConflictError):
        answer_round(scene.site, assignment, result())
    assert scene.audit().broken == []


def test_what_expires_or_is_revoked_meanwhile_returns_its_reservation(scene: Scene) -> None:
    first = scene.approved(**NOISE)
    scene.approved(OTHER_STUDY, **NOISE)
    stop(scene)
    revoke(scene, first)
    scene.clock.seconds = first.terms.expires_at
    with scene.site.engine.begin() as connection:
        close_expired(connection, scene.now, None)
    assert reserved(scene) == (0, 0)
    resume(scene)
    assert scene.audit().broken == []


def test_stops_follow_one_another(scene: Scene) -> None:
    with pytest.raises(ConflictError, match="not stopped"):
        resume(scene)
    assert stop(scene).serial == 1
    with pytest.raises(ConflictError, match="stopped already"):
        stop(scene)
    assert resume(scene).serial == 1
    assert stop(scene).serial == 2
    report = scene.audit()
    assert report.broken == []
    assert any("It stands stopped." in sentence for sentence in report.proved)


def test_nobody_but_the_owner_stops_or_resumes(scene: Scene) -> None:
    scene.owner_key = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError):
        stop(scene)
    scene.owner_key = owner_key()
    stop(scene)
    scene.owner_key = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError):
        resume(scene)


def test_a_reviewer_ends_their_own_stop_and_no_other(scene: Scene) -> None:
    bea, cem = hire(scene, Holder("Bea")), hire(scene, Holder("Cem"))
    stop(scene)
    with pytest.raises(RefusedError, match="Bea did not stop the site"):
        resume(scene, bea.key)
    resume(scene)
    stop(scene, key=bea.key)
    with pytest.raises(RefusedError, match="Cem did not stop the site"):
        resume(scene, cem.key)
    assert resume(scene, bea.key).serial == 2
    stop(scene, key=bea.key)
    assert resume(scene).serial == 3
    assert scene.audit().broken == []


# ---- jobs


def test_jobs_wait_and_go_on(jobs: JobScene) -> None:
    held = jobs.ran('print("x")', name="held")
    approved = jobs.approve(jobs.tried())
    received = jobs.receive(name="later")
    stop(jobs.scene)
    assert not jobs.worker.try_next()
    assert not jobs.worker.run_next()
    assert jobs.worker.seconds_to_next_export() is None
    with pytest.raises(RefusedError, match="stopped"):
        jobs.release(held, logs=True)
    resume(jobs.scene)
    assert jobs.worker.try_next()
    assert jobs.job(received.digest).status is JobStatus.PENDING
    assert jobs.run(approved).status is JobStatus.HELD
    jobs.release(jobs.job(held.digest), logs=True)
    stop(jobs.scene)
    jobs.tell()
    assert not jobs.outputs()
    resume(jobs.scene)
    jobs.tell()
    assert len(jobs.outputs()) == 1
    assert jobs.scene.audit().broken == []


@pytest.mark.both_databases
def test_a_job_that_runs_is_killed_and_may_run_again_by_a_new_approval(jobs: JobScene) -> None:
    job = jobs.approve(jobs.tried(SLEEPS_ON_PRIVATE_FILES))
    worker = threading.Thread(target=jobs.worker.run_next)
    worker.start()
    while jobs.job(job.digest).status is not JobStatus.RUNNING:
        worker.join(0.05)
    stop(jobs.scene)
    jobs.worker.stop_closed()
    worker.join(30)
    assert not worker.is_alive()
    assert jobs.job(job.digest).status is JobStatus.FAILED
    resume(jobs.scene)
    jobs.tell()
    assert jobs.statuses()[-1].status == "failed"
    jobs.approve(job)
    assert jobs.scene.audit().broken == []
