"""`datasite serve`: takes mail, sends mail, and wakes the use cases that have work; no rule lives here."""

import sys
import threading
from collections.abc import Callable

from sqlalchemy import Connection

from datasites.execution.rounds import ask_round, burn_interrupted_rounds
from datasites.execution.setup import accept_roster, start_run
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.blobs import BlobReference, open_blob
from datasites.protocol.envelope import Opened, open_envelope, seal
from datasites.protocol.identity import IdentityCard
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import (
    CatalogRequest,
    Message,
    Roster,
    RoundRefused,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
    StudySubmission,
)
from datasites.requests.catalog import answer_catalog
from datasites.requests.receive import receive_study
from datasites.requests.withdraw import withdraw
from datasites.site import Site
from datasites.store.migrate import migrate
from datasites.store.outbox import enqueue, oldest, sent
from datasites.store.peers import pinned_card, require_card, take_number
from datasites.store.waking import wake_calls
from datasites.syft_bridge.mirror import Mirror
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)
from policies.log.entries import MessageRefused
from policies.log.journal import append

_LONGEST_POLL_SECONDS = 25.0
_SHORTEST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_MAXIMUM_CONTENT_BYTES = 256 << 20
_TRIES_FOR_CONTENT = 3


class Service:
    """The threads of a running datasite. All they know is in the database; they may die at any instant."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._mailbox = Mailbox(site.identity, site.settings.relay)
        self._worker = Worker(site, Trainers(site))
        self._mirror = Mirror(site)
        self._stop = threading.Event()
        self._mail_waits = threading.Event()
        self._work_waits = threading.Event()

    def run(self) -> None:
        """Serve until `stop` is called. The schema is brought up to date, and interrupted rounds burned, first."""
        migrate(self._site.engine)
        with self._site.engine.begin() as connection:
            burn_interrupted_rounds(connection, self._site.now)
        loops = (self._listen, self._receive, self._send, self._work)
        threads = [threading.Thread(target=self._guard, args=(loop,), daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        self._stop.wait()
        self._worker.trainers.end_all_but(set())
        self._site.home.wake_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def _guard(self, loop: Callable[[], None]) -> None:
        """A thread that ends by an error ends the service: half a datasite must not go on."""
        try:
            loop()
        finally:
            self.stop()

    def _listen(self) -> None:
        for _ in wake_calls(self._site.home):
            self._wake()

    def _wake(self) -> None:
        self._mail_waits.set()
        self._work_waits.set()

    def _receive(self) -> None:
        pause = _Pause(self._stop)
        while not self._stop.is_set():
            try:
                letters = self._mailbox.receive(0, _LONGEST_POLL_SECONDS)
                for cursor, envelope in letters:
                    self._take(envelope)
                    self._mailbox.acknowledge(cursor)
                pause.reset()
            except UnavailableError as error:
                pause.wait(str(error))

    def _take(self, envelope: bytes) -> None:
        """Act on one letter in one transaction: its number, its effect and the answer, or its refusal."""
        site = self._site
        try:
            opened = open_envelope(site.identity, envelope, self._pinned)
        except (InvalidInputError, NotAuthenticError) as error:
            _report(f"A letter was dropped: {error}")
            return
        content, problem = self._content(opened.message)
        try:
            with site.engine.begin() as connection:
                take_number(connection, opened.sender.party, opened.number, site.now)
                try:
                    with connection.begin_nested():
                        if problem is not None:
                            raise problem
                        self._act(connection, opened, content)
                except CloisterError as error:
                    _refuse(connection, opened, str(error), site.now)
        except ConflictError as error:
            _report(f"A letter from {opened.sender.name} was dropped: {error}")
        self._wake()

    def _act(self, connection: Connection, opened: Opened, content: bytes) -> None:
        site, sender, now = self._site, opened.sender, self._site.now
        match opened.message:
            case CatalogRequest():
                answer_catalog(connection, sender, now)
            case StudySubmission() as message:
                receive_study(connection, site, sender, message, content, now)
            case SetupStart() as message:
                start_run(connection, site, sender.party, message, now)
            case Roster() as message:
                accept_roster(connection, site, sender.party, message, now)
            case RoundStart() as message:
                ask_round(connection, site, sender.party, message, content, now)
            case StudyClose() as message:
                withdraw(connection, sender.party, message, now)
            case message:
                raise RefusedError(f"A datasite takes no message of type {message.type}.")

    def _content(self, message: Message) -> tuple[bytes, CloisterError | None]:
        """What the message refers to. A relay that does not have it after some tries makes the message refused."""
        match message:
            case StudySubmission(initial_parameters=reference) | RoundStart(model=reference):
                pass
            case _:
                return b"", None
        pause = _Pause(self._stop)
        for _ in range(_TRIES_FOR_CONTENT):
            try:
                return self._fetch(reference), None
            except UnavailableError as error:
                problem: CloisterError = error
                pause.wait(str(error))
            except (InvalidInputError, NotAuthenticError) as error:
                return b"", error
        return b"", problem

    def _fetch(self, reference: BlobReference) -> bytes:
        if reference.size > _MAXIMUM_CONTENT_BYTES:
            raise InvalidInputError(f"Content of {reference.size} bytes is too large; send {_MAXIMUM_CONTENT_BYTES}.")
        ciphertext = self._mailbox.get_blob(reference.digest, reference.sealed_size)
        return open_blob(reference, ciphertext, _MAXIMUM_CONTENT_BYTES)

    def _pinned(self, party: str) -> IdentityCard | None:
        with self._site.engine.begin() as connection:
            return pinned_card(connection, party)

    def _send(self) -> None:
        pause = _Pause(self._stop)
        while not self._stop.is_set():
            self._mail_waits.clear()
            with self._site.engine.begin() as connection:
                letter = oldest(connection)
                card = None if letter is None else require_card(connection, letter.recipient)
            if letter is None or card is None:
                self._mail_waits.wait()
                continue
            try:
                if letter.blob is not None:
                    self._mailbox.put_blob(letter.blob)
                self._mailbox.send(card.party, seal(self._site.identity, card, letter.number, letter.message))
                pause.reset()
            except RefusedError as error:
                _report(f"A letter to {card.name} cannot be sent and was given up: {error}")
            except (UnavailableError, NotAuthenticError) as error:
                pause.wait(str(error))
                continue
            with self._site.engine.begin() as connection:
                sent(connection, letter.identifier)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._work_waits.clear()
            busy = self._worker.work()
            self._mirror.refresh()
            self._mail_waits.set()
            if not busy:
                self._work_waits.wait(self._worker.seconds_to_next_expiry())


def _refuse(connection: Connection, opened: Opened, reason: str, now: int) -> None:
    sender, message = opened.sender.party, opened.message
    append(connection, MessageRefused(at=now, sender=sender, message=opened.digest, reason=reason))
    match message:
        case StudySubmission():
            status = StudyStatus(study=message.study, status="refused", detail=reason, decision=None)
            enqueue(connection, sender, status, now)
        case RoundStart():
            refusal = RoundRefused(study=message.study, run=message.run, round=message.round, reason=reason)
            enqueue(connection, sender, refusal, now)
        case SetupStart() | Roster():
            refusal = RoundRefused(study=message.study, run=message.run, round=1, reason=reason)
            enqueue(connection, sender, refusal, now)


def _report(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


class _Pause:
    """Waits longer after each failure in a row, from half a second to a quarter of a minute."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._seconds = _SHORTEST_PAUSE_SECONDS

    def wait(self, reason: str) -> None:
        _report(f"{reason} Next try in {self._seconds:g} s.")
        self._stop.wait(self._seconds)
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE_SECONDS)

    def reset(self) -> None:
        self._seconds = _SHORTEST_PAUSE_SECONDS
