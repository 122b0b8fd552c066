"""The worker: does one waiting thing after another — tries new programs, warms trainers, computes charged rounds."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from datasites.execution.admission import begin_check, fail_check
from datasites.execution.answer_round import answer_round
from datasites.execution.charge_round import charge_next_round, next_round
from datasites.execution.interrupted_rounds import (
    burn_round,
    has_interrupted_rounds,
    retry_or_burn,
    take_up_interrupted_rounds,
)
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.halts.stopped import is_stopped
from datasites.requests.close import close_expired, close_request
from datasites.requests.finish_check import admit
from datasites.requests.patience import patience_seconds
from datasites.requests.records import OPEN, Request, Status, next_expiry, requests_in, statuses
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import DataSet, require_data_set
from datasites.store.engine import forget_deleted, reading
from datasites.store.referred import sweep_contents
from datasites.store.tables import runs
from datasites.store.weights import drop_weights
from policies.errors import CloisterError, UnavailableError

_TRAINER_FAILED = "The trainer could not compute this round; its charge is spent."


@dataclass(frozen=True)
class Worker:
    """Works through what the database says is waiting. Losing it at any instant loses nothing: see `rounds`."""

    site: Site
    trainers: Trainers
    admitted: Callable[[], None] = lambda: None
    """Called when a study's programs were found fit: its source can be exported again."""

    def work(self) -> bool:
        """Do the next thing that waits; False if there was none."""
        waiting = self._waiting()
        if waiting.overdue:
            with self.site.engine.begin() as connection:
                # There is one worker: a round that is charged when it looks for work was interrupted, by anything.
                if not is_stopped(connection, self.site):
                    take_up_interrupted_rounds(connection, self.site.now)
                close_expired(connection, self.site.now, patience_seconds(connection, self.site))
            waiting = self._waiting()
        self.trainers.end_all_but(waiting.trained)
        if waiting.has_round:
            return self._compute_round()
        for request, data_set in waiting.to_warm:
            self._warm(request, data_set)
            return True
        for request, data_set in waiting.to_check[:1]:
            self._check_programs(request, data_set)
        return bool(waiting.to_check)

    def stop_halted(self) -> None:
        """From any thread: kill the trainers that hold data, or are being checked, of studies that ended.

        If the site is stopped, of all studies. Trainers that wait without data are ended by the worker itself.
        """
        busy = self.trainers.busy  # before the database is read: what begins after that looks for itself
        if not busy:
            return
        with reading(self.site.engine) as connection:
            wanted = {digest for digest, status in statuses(connection) if status in OPEN}
            stopped = is_stopped(connection, self.site)
        self.trainers.kill(busy if stopped else busy - wanted)

    def _waiting(self) -> "_Waiting":
        with reading(self.site.engine) as connection:
            expiry = next_expiry(connection, patience_seconds(connection, self.site))
            overdue = has_interrupted_rounds(connection) or (expiry is not None and expiry <= self.site.now)
            if is_stopped(connection, self.site):
                return _Waiting(overdue, trained=set(), has_round=False, to_warm=[], to_check=[])
            found = requests_in(connection, Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING)
            begun = set(connection.execute(select(runs.c.request)).scalars())
            going = [it for it in found if it.status in (Status.APPROVED, Status.RUNNING)]
            # The newest request keeps the trainer that checked it, for its owner may approve it soon.
            newest = [it for it in found if it.status is Status.PENDING][-1:]
            # A study whose run is being set up gets its trainer early, so that its first round need not wait for it.
            # One that is spread over several machines gets theirs too, before anything is charged for it.
            to_warm = [it for it in going if it.digest in begun and self._is_cold(connection, it)]
            to_check = [it for it in found if it.status is Status.RECEIVED]
            return _Waiting(
                overdue=overdue,
                trained={it.digest for it in (*going, *newest)},
                has_round=next_round(connection, self.site, self.trainers.is_ready) is not None,
                to_warm=[(it, require_data_set(connection, it.data_set)) for it in to_warm],
                to_check=[(it, require_data_set(connection, it.data_set)) for it in to_check],
            )

    def tidy(self) -> None:
        """Take spent mask keys out of the database's own log too, and spent files away; the answer does not wait."""
        forget_deleted(self.site.engine)
        with self.site.engine.begin() as connection:
            drop_weights(connection, self.site.now)
        sweep_contents(self.site.engine, self.site.contents, self.site.now)

    def seconds_to_next_expiry(self) -> float | None:
        """How long until an open request expires, so that the worker can sleep until then; at most an hour."""
        with reading(self.site.engine) as connection:
            expiry = next_expiry(connection, patience_seconds(connection, self.site))
        return None if expiry is None else min(max(0.0, expiry - self.site.clock()), 3600.0)

    def _compute_round(self) -> bool:
        with self.site.engine.begin() as connection:
            assignment = charge_next_round(connection, self.site, self.site.now, self.trainers.is_ready)
        if assignment is None:
            return False
        try:
            result = self.trainers.compute(assignment)
            answer_round(self.site, assignment, result)
        except CloisterError as error:
            report(f"Round {assignment.round_number} of request {assignment.request.number} failed: {error}")
            self.trainers.end(assignment.request.digest)
            # A trainer that was killed from outside is no worse than a stop of this process in the same instant. One
            # that failed by itself may have done so because of a record: that is told once, and ends the study.
            was_killed = isinstance(error, TrainerFailedError) and error.was_killed
            end = retry_or_burn if was_killed else burn_round
            with self.site.engine.begin() as connection:
                if is_stopped(connection, self.site):
                    return True  # it stays charged, and is taken up like any interrupted round when the site goes on
                end(connection, assignment.request, assignment.round_number, _TRAINER_FAILED, self.site.now)
        return True

    def _is_cold(self, connection: Connection, request: Request) -> bool:
        starts = request.status is Status.APPROVED and not self.trainers.is_running(request)
        return (starts and self.trainers.is_ready(connection, request)) or self.trainers.can_gather(connection, request)

    def _warm(self, request: Request, data_set: DataSet) -> None:
        try:
            self.trainers.warm(request, data_set)
        except UnavailableError as error:
            report(f"Request {request.number} is not begun yet: {error}")
        except CloisterError as error:
            with self.site.engine.begin() as connection:
                close_request(connection, request.digest, Status.FAILED, str(error), self.site.now)

    def _check_programs(self, request: Request, data_set: DataSet) -> None:
        with self.site.engine.begin() as connection:
            if not begin_check(connection, request.digest, self.site.now):
                return
        try:
            self.trainers.check(request, data_set)
        except CloisterError as error:
            with self.site.engine.begin() as connection:
                fail_check(connection, self.site, request.digest, error)
        else:
            with self.site.engine.begin() as connection:
                admit(connection, self.site, request)
            self.admitted()


@dataclass(frozen=True)
class _Waiting:
    """What the database says at one moment: what is overdue, which requests need a trainer, and what to do next."""

    overdue: bool
    trained: set[str]
    has_round: bool
    to_warm: list[tuple[Request, DataSet]]
    to_check: list[tuple[Request, DataSet]]
