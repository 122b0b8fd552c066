"""The jobs' worker: tries what was received, runs what was approved, inspects what ended, stops what was closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from datasites.execution.jobs.inspect_job import inspect_job
from datasites.execution.jobs.run_job import STOPPED, begin_next_job, end_without_outputs, run_job
from datasites.execution.jobs.try_job import try_job
from datasites.execution.jobs.zygotes import Zygotes
from datasites.execution.second_export import export_again
from datasites.halts.stopped import is_stopped
from datasites.requests.jobs.close import close_expired_jobs, next_job_expiry
from datasites.requests.jobs.records import Job, Status, find_job, jobs_in
from datasites.requests.jobs.tell import milliseconds_to_next_telling, refuse_job, tell_due
from datasites.requests.patience import patience_seconds, rules_if_any
from datasites.requests.records import Status as StudyStatus
from datasites.requests.records import find_request
from datasites.requests.second_exports import next_to_export
from datasites.sandbox.errand import Cancel
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.engine import reading
from datasites.witnesses.hear import is_set_back
from policies.errors import CloisterError

_LONGEST_REST_SECONDS = 3600.0


class JobWorker:
    """Works through what the database says is waiting; each of its methods may run in a thread of its own.

    Losing it at any instant loses nothing but what ran: an execution that was begun is never begun again by itself.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zygotes = Zygotes()
        self._lock = Lock()
        self._running: dict[str, Cancel] = {}
        self._ending = False
        self._tried_last = ""

    def take_up_interrupted(self) -> None:
        """At a start: what was running when the last process ended has failed; what had ended is inspected later."""
        with self._site.engine.begin() as connection:
            cut_short = [it for it in jobs_in(connection, Status.RUNNING) if not _has_ended(it)]
        for job in cut_short:
            end_without_outputs(self._site, job, "interrupted", STOPPED)

    def try_next(self) -> bool:
        """Try the oldest job that was received, another researcher's first, or export a study's source again.

        False if there is neither, or the site is stopped. While no house rules hold, jobs wait until some are adopted.
        """
        with reading(self._site.engine) as connection:
            if is_stopped(connection, self._site):
                return False
            waiting = jobs_in(connection, Status.RECEIVED)
            rules = rules_if_any(connection, self._site)
        if not waiting or rules is None:
            return self._export_next()
        job = min(waiting, key=lambda it: (it.sender == self._tried_last, it.number))
        self._tried_last = job.sender
        try:
            with self._cancellable(job.digest) as cancel:
                try_job(self._site, job, rules.jobs, self._zygotes, cancel)
        except CloisterError as error:
            report(f"Job {job.number} could not be tried: {error}")
            refuse_job(self._site, job)
        return True

    def run_next(self) -> bool:
        """Inspect the oldest job that ended, or run the oldest approved one; False if there is neither, or a stop."""
        with reading(self._site.engine) as connection:
            if is_stopped(connection, self._site):
                return False
            ended = [it for it in jobs_in(connection, Status.RUNNING) if _has_ended(it)][:1]
        for job in ended:
            if job.run is not None:
                with self._cancellable(job.digest) as cancel:
                    inspect_job(self._site, job, job.run, self._zygotes, cancel)
            return True
        if self._ending:
            return False
        begun = begin_next_job(self._site)
        if begun is None:
            return False
        with self._cancellable(begun.job.digest) as cancel:
            run_job(self._site, begun, self._zygotes, cancel)
        return True

    def tell_next(self) -> float | None:
        """Tell what is due, close what has expired; gives the seconds until there may be more, or None.

        0 says that something was told or closed.
        """
        with self._site.engine.begin() as connection:
            patience = patience_seconds(connection, self._site)
            closed = close_expired_jobs(connection, self._site.now, patience)
        self.stop_closed()
        with reading(self._site.engine) as connection:
            stopped = is_stopped(connection, self._site) or is_set_back(connection)
        if (not stopped and tell_due(self._site)) or closed:
            return 0.0
        with reading(self._site.engine) as connection:
            milliseconds = None if stopped else milliseconds_to_next_telling(connection, self._site)
            expiry = next_job_expiry(connection, self._site.now, patience)
        rests = [] if milliseconds is None else [milliseconds / 1000]
        if expiry is not None:
            rests.append(max(0.0, expiry - self._site.clock()))
        return min(*rests, _LONGEST_REST_SECONDS) if rests else None

    def stop_closed(self) -> None:
        """Stop whatever runs for a job that was cancelled, revoked or has expired meanwhile; all, if the site stops."""
        with self._lock:
            running = set(self._running)
        if not running:
            return
        for digest in running:
            if not self._is_wanted(digest):
                self._stop(digest)

    def stop_all(self) -> None:
        """Stop whatever runs or is about to, and end the zygotes."""
        with self._lock:
            self._ending = True
            running = set(self._running)
        for digest in running:
            self._stop(digest)
        self._zygotes.end_all()

    def _stop(self, digest: str) -> None:
        with self._lock:  # under which it is closed, too
            if digest in self._running:
                self._running[digest].cancel()

    def seconds_to_next_export(self) -> float | None:
        """How long until a study's source is to be exported again; None if none waits, or the site is stopped."""
        with reading(self._site.engine) as connection:
            if is_stopped(connection, self._site):
                return None
            waiting = next_to_export(connection)
        return None if waiting is None else max(0.0, waiting[1] - self._site.clock())

    def _export_next(self) -> bool:
        with reading(self._site.engine) as connection:
            waiting = next_to_export(connection)
        if waiting is None or waiting[1] > self._site.clock():
            return False
        with self._cancellable(waiting[0]) as cancel:
            export_again(self._site, waiting[0], cancel)
        return True

    @contextmanager
    def _cancellable(self, digest: str) -> Iterator[Cancel]:
        cancel = Cancel()
        with self._lock:
            self._running[digest] = cancel
            if self._ending:
                cancel.cancel()
        try:
            if not self._is_wanted(digest):
                cancel.cancel()  # it was closed before anybody could have stopped it
            yield cancel
        finally:
            with self._lock:
                self._running.pop(digest).close()

    def _is_wanted(self, digest: str) -> bool:
        """Whether anything may go on for a request: a job that is tried or runs, or a study that is not decided on."""
        with reading(self._site.engine) as connection:
            if is_stopped(connection, self._site):
                return False
            job = find_job(connection, digest)
            if job is not None:
                return job.status in (Status.RECEIVED, Status.RUNNING)
            study = find_request(connection, digest)
        return study is not None and study.status is StudyStatus.PENDING


def _has_ended(job: Job) -> bool:
    return job.run is not None and job.run.attempt == job.attempt
