"""The worker does one waiting thing at a time, and turns every failure of a trainer into one durable outcome."""

import sqlite3
from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from datasites.execution.charge_round import Assignment
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.messages import StudyClose
from datasites.requests.records import Request, Status
from datasites.requests.withdraw import withdraw
from datasites.site import Site
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY, PARAMETERS


class Pretended(Trainers):
    """Trainers without processes: `outcome` says what starting or computing gives."""

    def __init__(self, site: Site, outcome: Callable[[], None] = lambda: None) -> None:
        super().__init__(site)
        self.outcome = outcome
        self.started: list[str] = []
        self.computed: list[int] = []
        self.needed: set[str] = set()

    def start(self, request: Request, _data_set: object) -> None:
        self.outcome()
        self.started.append(request.digest)

    def check(self, request: Request, data_set: object) -> None:
        self.start(request, data_set)

    def compute(self, assignment: Assignment) -> RoundResult:
        self.outcome()
        self.computed.append(assignment.round_number)
        return RoundResult(np.array([10.0, 10.0]), iter([np.zeros(PARAMETERS, np.float32)]), ("seccomp",))

    def is_running(self, request: Request) -> bool:
        return request.digest in self.started

    def end_all_but(self, digests) -> None:
        self.needed = set(digests)


def failing(error: CloisterError) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_new_study_is_tried_and_then_waits_for_its_owner(scene: Scene) -> None:
    request = scene.receive(scene.terms())
    trainers = Pretended(scene.site)
    worker = Worker(scene.site, trainers)
    assert worker.work()
    assert scene.request(request.digest).status is Status.PENDING
    assert trainers.started == [request.digest]
    assert not worker.work()
    assert trainers.needed == {request.digest}


@pytest.mark.parametrize("error", [InvalidInputError("Its loss needs 9 GB."), TrainerFailedError("It ended.")])
def test_a_study_that_the_trainer_refuses_is_refused_with_the_reason(scene: Scene, error: CloisterError) -> None:
    request = scene.receive(scene.terms())
    assert Worker(scene.site, Pretended(scene.site, failing(error))).work()
    after = scene.request(request.digest)
    assert (after.status, after.detail) == (Status.REFUSED, str(error))


def test_a_round_is_computed_once_and_answered(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    trainers = Pretended(scene.site)
    worker = Worker(scene.site, trainers)
    while worker.work():
        scene.witness()
    assert trainers.computed == [1]
    assert [it.round for it in scene.updates()] == [1]
    assert trainers.needed == {request.digest}


@pytest.mark.parametrize("error", [TrainerFailedError("It ended."), NotAuthenticError("Another snapshot.")])
def test_a_trainer_that_fails_burns_the_round_and_says_nothing_of_the_data(scene: Scene, error: CloisterError) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assert Worker(scene.site, Pretended(scene.site, failing(error))).work()
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.count("charges") == 2
    assert scene.updates() == []
    told = [it for it in scene.letters() if it.type in ("round-refused", "study-status")][-2:]
    assert all(str(error) not in str(it) for it in told)
    assert scene.audit().broken == []


def test_a_trainer_that_failed_by_itself_is_not_tried_again_even_with_a_retry_left(scene: Scene) -> None:
    """A record may have been why; to try again would tell more of it."""
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    assert Worker(scene.site, Pretended(scene.site, failing(TrainerFailedError("It ended.")))).work()
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.count("charges") == 2


def test_a_round_whose_trainer_was_killed_is_computed_again_under_a_reserved_retry(scene: Scene) -> None:
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    trainers = Pretended(scene.site, failing(TrainerFailedError("It was killed for memory.", was_killed=True)))
    worker = Worker(scene.site, trainers)
    assert worker.work()
    assert scene.request(request.digest).status is Status.RUNNING
    assert scene.count("charges") == 2
    trainers.outcome = lambda: None
    while worker.work():
        scene.witness()
    assert [it.round for it in scene.updates()] == [1]
    assert scene.count("charges") == 4
    assert scene.audit().broken == []


def test_a_trainer_that_is_killed_again_and_again_ends_the_study_when_the_retries_are_used(scene: Scene) -> None:
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    worker = Worker(scene.site, Pretended(scene.site, failing(TrainerFailedError("It ended.", was_killed=True))))
    while worker.work():
        scene.witness()
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.count("charges") == 4
    assert scene.updates() == []
    assert scene.audit().broken == []


def test_trainers_are_warmed_when_a_run_is_set_up_and_kept_while_needed(scene: Scene) -> None:
    request, waiting = scene.approved(), scene.approved(OTHER_STUDY)
    trainers = Pretended(scene.site)
    worker = Worker(scene.site, trainers)
    assert not worker.work()
    scene.set_up(request)
    assert worker.work()
    assert trainers.started == [request.digest]
    assert not worker.work()
    assert trainers.needed == {request.digest, waiting.digest}


def test_expired_studies_are_closed_and_the_worker_knows_when(scene: Scene) -> None:
    worker = Worker(scene.site, Pretended(scene.site))
    assert worker.seconds_to_next_expiry() is None
    request = scene.approved()
    scene.submit(OTHER_STUDY, expires_at=request.terms.expires_at + 50)
    scene.clock.seconds = request.terms.expires_at - 12
    assert worker.seconds_to_next_expiry() == 12
    scene.clock.seconds += 12
    assert worker.seconds_to_next_expiry() == 0
    worker.work()
    assert scene.request(request.digest).status is Status.EXPIRED
    assert worker.seconds_to_next_expiry() == 50


@pytest.mark.both_databases
def test_a_study_withdrawn_while_it_computes_does_not_end_the_worker(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)

    def withdrawn() -> None:
        scene.tamper("UPDATE requests SET status = 'closed'")
        scene.tamper("UPDATE reservations SET state = 'closed'")

    assert Worker(scene.site, Pretended(scene.site, withdrawn)).work()
    assert scene.updates() == []
    assert scene.request(request.digest).status is Status.CLOSED


def test_a_study_withdrawn_while_its_programs_are_tried_stays_withdrawn(scene: Scene) -> None:
    request = scene.receive(scene.terms())

    def withdraw_meanwhile() -> None:
        with scene.site.engine.begin() as connection:
            withdraw(connection, scene.researcher.party, StudyClose(study=request.terms.study, reason="no"), scene.now)

    assert Worker(scene.site, Pretended(scene.site, withdraw_meanwhile)).work()
    assert scene.request(request.digest).status is Status.CLOSED
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_a_database_that_fails_between_charge_and_answer_costs_one_retry_and_no_restart(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    worker = Worker(scene.site, Pretended(scene.site))
    with monkeypatch.context() as broken:

        def locked(*_: object) -> None:
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))

        broken.setattr("datasites.execution.worker.answer_round", locked)
        with pytest.raises(OperationalError):
            worker.work()
    assert scene.updates() == []
    assert worker.work()
    scene.witness()
    assert [update.round for update in scene.updates()] == [1]
    assert scene.count("charges") == 4, "two partitions, each charged for two attempts"
    assert scene.audit().broken == []
