"""`datasite serve`: takes mail, sends mail, and wakes the use cases that have work; no rule lives here."""

import threading
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from datasites.catalog.snapshot_folder import remove_leftovers
from datasites.execution.followers import Followers
from datasites.execution.jobs.job_worker import JobWorker
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.halts.stopped import SITE_STOPPED, is_stopped
from datasites.protocol.mailbox import Mailbox
from datasites.serving.effect import Effect
from datasites.serving.incoming import Incoming
from datasites.serving.job_loops import JobLoops
from datasites.serving.lanes import Lanes
from datasites.serving.lifecycle import Pause, only_one, report, sentence_of
from datasites.serving.machines import open_to_machines
from datasites.serving.outgoing import Outgoing
from datasites.site import Site, require_own_log
from datasites.store.migrate import migrate
from datasites.store.sole_server import sole_server
from datasites.store.waking import wake_calls
from datasites.syft_bridge.mirror import Mirror
from datasites.witnesses.begin import begin_anew
from datasites.witnesses.hear import SET_BACK, is_set_back
from policies.budget.chain import verify_chain
from policies.errors import CloisterError, UnavailableError

_LONGEST_POLL_SECONDS = 25.0
_LONGEST_GOODBYE_SECONDS = 60.0
_FAREWELL_SECONDS = 0.5
_HEAD_START_SECONDS = 0.01
"""By how much a job that was just approved begins before the other threads look at the database."""


class Service:
    """The threads of a running datasite. All they know is in the database; they may die at any instant."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._mailbox = Mailbox(site.identity, site.settings.relay)
        self._mirror = Mirror(site)
        self._stop = threading.Event()
        self._incoming = Incoming(site, self._mailbox)
        self._outgoing = Outgoing(site, self._mailbox)
        self._failed = threading.Event()
        self._small_mail_waits = threading.Event()
        self._large_mail_waits = threading.Event()
        self._work_waits = threading.Event()
        self._job_worker = JobWorker(site)
        self._jobs = JobLoops(self._job_worker, self._stop, self._wake_others)
        self._followers = Followers()
        self._followers.joined = self._work_waits.set
        self._worker = Worker(site, Trainers(site, self._followers), admitted=self._jobs.wake)

    def run(self) -> None:
        """Serve until `stop` is called; a round that is being computed is finished first.

        Before anything, the schema is brought up to date, the ledger's chain checked, and the witnesses of open studies
        are asked whether the disk was set back.

        Raises:
            ConflictError: another process serves this datasite or its database, or the database is another's.
            NotAuthenticError: the ledger was changed by hand.
            UnavailableError: the address for other machines cannot be listened at, or a thread ended by an error, which
                it reported.
        """
        with (
            only_one(self._site.home),
            sole_server(self._site.engine, self._lose_database),
            open_to_machines(self._site, self._followers),
        ):
            migrate(self._site.engine)
            with self._site.engine.begin() as connection:
                require_own_log(connection, self._site)
                verify_chain(connection)
                begin_anew(connection, self._site, self._site.now)
                if is_set_back(connection):
                    report(SET_BACK)
                if is_stopped(connection, self._site):
                    report(SITE_STOPPED)
            self._job_worker.take_up_interrupted()
            self._worker.tidy()
            remove_leftovers(self._site)
            mail = (self._listen, self._receive, self._send_small, self._send_large)
            work = (self._work, self._jobs.try_jobs, self._jobs.run_jobs, self._jobs.tell_of_jobs)
            others = [self._start(loop) for loop in mail]
            workers = [self._start(loop) for loop in work]
            self._stop.wait()
            self._jobs.end()
            self._wake_others()
            for worker in workers:
                worker.join(_LONGEST_GOODBYE_SECONDS)
            if self._failed.is_set():
                for thread in others:
                    thread.join(_FAREWELL_SECONDS)  # the one that failed reports its traceback first
            self._worker.trainers.end_all_but(set())
            self._site.home.wake_socket.unlink(missing_ok=True)
        if self._failed.is_set():
            raise UnavailableError("A part of the datasite ended by an error, which is reported above; start it again.")

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def _lose_database(self) -> None:
        report("The datasite lost its place at the database, where another may serve now; it stops.")
        self._failed.set()
        self.stop()

    def _start(self, loop: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guard, args=(loop,), daemon=True)
        thread.start()
        return thread

    def _guard(self, loop: Callable[[], None]) -> None:
        """A thread that ends by an error ends the service: half a datasite must not go on."""
        try:
            loop()
        finally:
            if not self._stop.is_set():
                self._failed.set()
                self.stop()

    def _listen(self) -> None:
        for _ in wake_calls(self._site.home):
            self._jobs.wake_runs()
            self._stop.wait(_HEAD_START_SECONDS)
            self._jobs.wake()
            self._worker.stop_halted()
            self._wake_others()

    def _wake_for(self, effect: Effect) -> None:
        """Wake those to whom a letter that was acted on has given something to do."""
        if effect.jobs:
            self._jobs.wake()
        for has, waits in (
            (effect.small_mail, self._small_mail_waits),
            (effect.large_mail, self._large_mail_waits),
            (effect.work, self._work_waits),
        ):
            if has:
                waits.set()
        if effect.work:
            self._worker.stop_halted()  # a study was closed, perhaps, or replaced by another

    def _wake_others(self) -> None:
        for waits in (self._small_mail_waits, self._large_mail_waits, self._work_waits):
            waits.set()

    def _receive(self) -> None:
        lanes, pause = Lanes(self._act_on, self._guard), Pause()
        while not self._stop.is_set():
            try:
                # What was acted on is forgotten by the relay with the next question.
                for cursor, envelope in self._mailbox.receive(lanes.seen(), _LONGEST_POLL_SECONDS, lanes.acted_on):
                    lanes.put(cursor, self._incoming.lane_of(envelope), envelope)
                pause.reset()
            except CloisterError as error:
                report(f"Mail cannot be fetched: {sentence_of(error)}")
                self._stop.wait(pause.next())

    def _act_on(self, envelope: bytes) -> None:
        pause = Pause()
        while not self._stop.is_set():
            try:
                return self._wake_for(self._incoming.take(envelope))
            except OperationalError as error:
                report(f"A letter waits, for the database cannot be used just now: {sentence_of(error)}")
                self._stop.wait(pause.next())
        return None

    def _send_small(self) -> None:
        self._send(self._small_mail_waits, large=False)

    def _send_large(self) -> None:
        self._send(self._large_mail_waits, large=True)

    def _send(self, waits: threading.Event, *, large: bool) -> None:
        pause = Pause()
        while not self._stop.is_set():
            waits.clear()
            try:
                again = self._outgoing.send_waiting(large=large)
                pause.reset()
            except OperationalError as error:
                report(f"The outbox cannot be read just now: {sentence_of(error)}")
                self._stop.wait(pause.next())
                continue
            if again:
                self._small_mail_waits.set()
                self._large_mail_waits.set()
            waits.wait(self._outgoing.seconds_to_next_try())

    def _work(self) -> None:
        pause = Pause()
        while not self._stop.is_set():
            self._work_waits.clear()
            try:
                busy = self._worker.work()
                self._small_mail_waits.set()
                if busy:
                    self._worker.tidy()
                self._mirror.refresh()
                rest = self._worker.seconds_to_next_expiry()
                pause.reset()
            except OperationalError as error:
                report(f"The database cannot be used just now: {sentence_of(error)}")
                self._stop.wait(pause.next())
                continue
            if not busy and not self._stop.is_set():
                self._work_waits.wait(rest)
