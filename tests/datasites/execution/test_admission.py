"""A request that nobody approved has little of the worker's time, few tries, and none once it ended."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from datasites.execution.admission import MOST_SECONDS, check_seconds
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.messages import StudyClose
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from datasites.service import Service
from datasites.serving.effect import Effect
from datasites.site import Site
from tests.halting import resume, stop
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY

SLOW = {"deadlines": {"setup_seconds": 604_800, "round_seconds": 300}}


class Halted(BaseException):
    """Stands for a kill of the whole service."""


class Interrupted(Trainers):
    """Trainers whose every check is ended from outside, as `end` says."""

    def __init__(self, site: Site, end: Callable[[], None]) -> None:
        super().__init__(site)
        self.checks = 0
        self._end_check = end

    def check(self, request: Request, data_set: object) -> None:
        self.checks += 1
        self._end_check()
        raise TrainerFailedError("It was killed.", was_killed=True)


def crash() -> None:
    raise Halted


@pytest.mark.parametrize(
    ("setup_seconds", "minutes", "seconds"), [(7, 60, 7), (604_800, 1, 60), (604_800, 10_080, MOST_SECONDS)]
)
def test_a_check_has_the_least_of_what_terms_rules_and_site_allow(
    scene: Scene, setup_seconds: int, minutes: int, seconds: int
) -> None:
    terms = scene.terms(deadlines={"setup_seconds": setup_seconds, "round_seconds": 300})
    rules = scene.rules().rules.model_copy(update={"maximum_round_minutes": minutes})
    assert check_seconds(terms, rules) == seconds


def test_a_trainer_that_is_not_ready_in_time_ends_its_request_and_no_other(scene: Scene) -> None:
    """A real one: its start alone takes longer than this."""
    request = scene.receive(scene.terms(deadlines={"setup_seconds": 1, "round_seconds": 300}))
    worker = Worker(scene.site, Trainers(scene.site))
    began = time.monotonic()
    assert worker.work()
    assert time.monotonic() - began < 20
    after = scene.request(request.digest)
    assert after.status is Status.REFUSED
    assert "were not ready after 1 s" in after.detail
    assert not worker.trainers.is_running(request)
    assert not worker.work()
    assert scene.audit().broken == []


def test_the_time_of_an_unapproved_request_is_not_its_own_to_say(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start and its programs share the limit."""
    limits = list[float]()

    def begin(trainer: TrainerProcess) -> TrainerProcess:
        limits.append(trainer._start_seconds)
        return trainer

    def prepare(*_: object, seconds: float) -> None:
        limits.append(seconds)

    monkeypatch.setattr(TrainerProcess, "__enter__", begin)
    monkeypatch.setattr(TrainerProcess, "prepare", prepare)
    scene.receive(scene.terms(**SLOW))
    Worker(scene.site, Trainers(scene.site)).work()
    assert limits[1] <= limits[0] == MOST_SECONDS


@pytest.mark.parametrize("end", [crash, lambda: None], ids=["with the service", "alone"])
def test_a_check_that_is_interrupted_twice_is_not_tried_again(scene: Scene, end: Callable[[], None]) -> None:
    request = scene.receive(scene.terms())
    trainers = Interrupted(scene.site, end)
    for _ in range(2):
        with suppress(Halted):
            Worker(scene.site, trainers).work()
        assert scene.request(request.digest).status is Status.RECEIVED
    assert Worker(scene.site, trainers).work()
    after = scene.request(request.digest)
    assert (after.status, trainers.checks) == (Status.REFUSED, 2)
    assert "interrupted 2 times" in after.detail
    assert scene.audit().broken == []


def test_a_stop_of_the_site_is_no_fault_of_the_request(scene: Scene) -> None:
    request = scene.receive(scene.terms())
    trainers = Interrupted(scene.site, lambda: stop(scene) and None)
    worker = Worker(scene.site, trainers)
    for number in range(1, 5):
        assert worker.work()
        assert not worker.work()
        resume(scene)
        assert (scene.request(request.digest).status, trainers.checks) == (Status.RECEIVED, number)


def close(scene: Scene, request: Request) -> None:
    with scene.site.engine.begin() as connection:
        withdraw(connection, scene.researcher.party, StudyClose(study=request.terms.study, reason="no"), scene.now)


def replace_by_another(scene: Scene, request: Request) -> None:
    scene.receive(scene.terms(OTHER_STUDY, supersedes=request.digest))


def stop_all(scene: Scene, _request: Request) -> None:
    stop(scene)


ENDS = {
    "withdrawn": (close, Status.CLOSED),
    "superseded": (replace_by_another, Status.SUPERSEDED),
    "stopped": (stop_all, Status.RECEIVED),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("early", [True, False], ids=["before there is a process", "in the middle"])
def test_a_check_ends_with_its_request(scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str, early: bool) -> None:
    act, status = ENDS[how]
    request = scene.receive(scene.terms(**SLOW))
    worker = Worker(scene.site, Trainers(scene.site))
    killed = list[TrainerProcess]()

    def end(trainer: TrainerProcess) -> TrainerProcess:
        act(scene, request)
        worker.stop_halted()
        return trainer

    def prepare(trainer: TrainerProcess, *_: object, **__: object) -> None:
        assert not early, "its programs are tried though it ended"
        end(trainer)
        assert killed == [trainer]
        raise TrainerFailedError("It was killed.", was_killed=True)

    monkeypatch.setattr(TrainerProcess, "__enter__", end if early else lambda trainer: trainer)
    monkeypatch.setattr(TrainerProcess, "prepare", prepare)
    monkeypatch.setattr(TrainerProcess, "kill", lambda trainer: killed.append(trainer))
    assert worker.work()
    assert scene.request(request.digest).status is status
    assert worker.trainers.busy == set()


def test_a_letter_that_closes_a_study_ends_its_real_check_at_once(scene: Scene) -> None:
    """The trainer is held, so that it would never be ready."""
    request = scene.receive(scene.terms(**SLOW))
    service = Service(scene.site)
    working = Thread(target=service._worker.work)
    working.start()
    child = _child_of(service._worker.trainers, request)
    os.kill(child, signal.SIGSTOP)
    close(scene, request)
    assert working.is_alive()
    service._wake_for(Effect(small_mail=True, work=True))
    working.join(20)
    assert not working.is_alive()
    assert not Path(f"/proc/{child}").exists()
    assert scene.request(request.digest).status is Status.CLOSED


def _child_of(trainers: Trainers, request: Request) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        trainer = trainers._running.get(request.digest)
        if trainer is not None and trainer._process is not None:
            return trainer._process.pid
        time.sleep(0.01)
    raise AssertionError("no trainer was started")
