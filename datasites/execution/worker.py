"""The worker: does one waiting thing after another — tries new programs, warms trainers, computes charged rounds."""

from dataclasses import dataclass

from sqlalchemy import select

from datasites.execution.answer_round import answer_round
from datasites.execution.charge_round import charge_next_round
from datasites.execution.interrupted_rounds import burn_round, retry_or_burn, take_up_interrupted_rounds
from datasites.execution.trainer_process import TrainerFailedError
from datasites.execution.trainers import Trainers
from datasites.requests.close import close_expired, close_request
from datasites.requests.finish_check import admit, refuse
from datasites.requests.records import Request, Status, next_expiry, requests_in
from datasites.site import Site
from datasites.store.data_sets import DataSet, require_data_set
from datasites.store.engine import forget_deleted
from datasites.store.referred import referred_contents
from datasites.store.tables import runs
from policies.errors import CloisterError

_TRAINER_FAILED = "The trainer could not compute this round; its charge is spent."


@dataclass(frozen=True)
class Worker:
    """Works through what the database says is waiting. Losing it at any instant loses nothing: see `rounds`."""

    site: Site
    trainers: Trainers

    def work(self) -> bool:
        """Do the next thing that waits; False if there was none."""
        with self.site.engine.begin() as connection:
            # There is one worker: a round that is charged when it looks for work was interrupted, by whatever it was.
            take_up_interrupted_rounds(connection, self.site.now)
            close_expired(connection, self.site.now)
        self._end_idle_trainers()
        return self._compute_round() or self._warm_trainer() or self._check_programs()

    def tidy(self) -> None:
        """Take spent mask keys out of the database's own log too, and spent files away; the answer does not wait."""
        forget_deleted(self.site.engine)
        self.site.contents.sweep(self._referred)

    def _referred(self) -> set[str]:
        with self.site.engine.begin() as connection:
            return referred_contents(connection, self.site.now)

    def seconds_to_next_expiry(self) -> float | None:
        """How long until an open request expires, so that the worker can sleep until then; at most an hour."""
        with self.site.engine.begin() as connection:
            expiry = next_expiry(connection)
        return None if expiry is None else min(max(0.0, expiry - self.site.clock()), 3600.0)

    def _compute_round(self) -> bool:
        with self.site.engine.begin() as connection:
            assignment = charge_next_round(connection, self.site, self.site.now)
        if assignment is None:
            return False
        try:
            result = self.trainers.compute(assignment)
            answer_round(self.site, assignment, result)
        except TrainerFailedError:
            # Such as one that was killed for memory: it is no worse than a stop of this process in the same instant.
            self.trainers.end(assignment.request.digest)
            with self.site.engine.begin() as connection:
                retry_or_burn(connection, assignment.request, assignment.round_number, _TRAINER_FAILED, self.site.now)
        except CloisterError:
            self.trainers.end(assignment.request.digest)
            with self.site.engine.begin() as connection:
                burn_round(connection, assignment.request, assignment.round_number, _TRAINER_FAILED, self.site.now)
        return True

    def _warm_trainer(self) -> bool:
        """Start the trainer of a study whose run is being set up, so that its first round need not wait for it."""
        for request, data_set in self._requests(Status.APPROVED):
            with self.site.engine.begin() as connection:
                begun = connection.execute(select(runs.c.run).where(runs.c.request == request.digest)).one_or_none()
            if begun is not None and not self.trainers.is_running(request):
                self._start_trainer(request, data_set)
                return True
        return False

    def _start_trainer(self, request: Request, data_set: DataSet) -> None:
        try:
            self.trainers.start(request, data_set)
        except CloisterError as error:
            with self.site.engine.begin() as connection:
                close_request(connection, request.digest, Status.FAILED, str(error), self.site.now)

    def _check_programs(self) -> bool:
        for request, data_set in self._requests(Status.RECEIVED):
            try:
                self.trainers.start(request, data_set)
            except CloisterError as error:
                with self.site.engine.begin() as connection:
                    refuse(connection, request, str(error), self.site.now)
            else:
                with self.site.engine.begin() as connection:
                    admit(connection, request, self.site.now)
            return True
        return False

    def _end_idle_trainers(self) -> None:
        with self.site.engine.begin() as connection:
            found = requests_in(connection, Status.APPROVED, Status.RUNNING, Status.PENDING)
        needed = {it.digest for it in found if it.status in (Status.APPROVED, Status.RUNNING)}
        # The newest request keeps the trainer that checked it, for its owner may approve it soon.
        needed |= set([it.digest for it in found if it.status is Status.PENDING][-1:])
        self.trainers.end_all_but(needed)

    def _requests(self, status: Status) -> list[tuple[Request, DataSet]]:
        with self.site.engine.begin() as connection:
            found = requests_in(connection, status)
            return [(request, require_data_set(connection, request.data_set)) for request in found]
