"""The threads of a running service that work on jobs: one tries them, one runs them, one tells of them."""

from collections.abc import Callable
from threading import Event

from sqlalchemy.exc import OperationalError

from datasites.execution.jobs.job_worker import JobWorker
from datasites.serving.lifecycle import Pause, report, sentence_of
from policies.errors import UnavailableError


class JobLoops:
    """Loops that sleep until they are woken, or until it is time. After a step that did something, others look."""

    def __init__(self, worker: JobWorker, stop: Event, changed: Callable[[], None]) -> None:
        """`changed` is called when the database has something new to be sent or shown."""
        self._worker = worker
        self._stop = stop
        self._changed = changed
        self._tries, self._runs, self._tellings = Event(), Event(), Event()

    def try_jobs(self) -> None:
        """Try on mock data what was received, until the service stops."""
        self._repeat(self._tries, lambda: 0.0 if self._worker.try_next() else self._worker.seconds_to_next_export())

    def run_jobs(self) -> None:
        """Run what was approved and inspect what ended, until the service stops."""
        self._repeat(self._runs, lambda: 0.0 if self._worker.run_next() else None)

    def tell_of_jobs(self) -> None:
        """Tell researchers what they may know by now, and close what has expired, until the service stops."""
        self._repeat(self._tellings, self._worker.tell_next)

    def wake_runs(self) -> None:
        """Look at the database again for what was approved."""
        self._runs.set()

    def wake(self) -> None:
        """Look at the database again: in every loop, and for jobs that were closed while they run."""
        for waits in (self._tries, self._runs, self._tellings):
            waits.set()
        self._worker.stop_closed()

    def end(self) -> None:
        """Stop what runs, so that the loops end; the service's own event must be set before."""
        self._worker.stop_all()
        for waits in (self._tries, self._runs, self._tellings):
            waits.set()

    def _repeat(self, waits: Event, step: Callable[[], float | None]) -> None:
        pause = Pause()
        while not self._stop.is_set():
            waits.clear()
            try:
                rest = step()
                pause.reset()
            except (OperationalError, UnavailableError) as error:
                report(f"The database or the disk cannot be used just now: {sentence_of(error)}")
                self._stop.wait(pause.next())
                continue
            if rest == 0.0:
                self._changed()
                self._tellings.set()
            elif not self._stop.is_set():
                waits.wait(rest)
