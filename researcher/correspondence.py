"""Mail between the researcher and the sites: sealed, numbered, and kept until somebody asks for it."""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from datasites.protocol.blobs import BlobReference, open_blob, seal_blob
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import Message, StudyStatus
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, UnavailableError
from researcher.state import State

_LONGEST_POLL_SECONDS = 20.0
_KEPT_MESSAGES = 10_000
_SHORTEST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0

Received = tuple[IdentityCard, Message]
Answer = TypeVar("Answer")


@dataclass
class Correspondence:
    """The researcher's end of every conversation. Statuses go to the state file, other messages wait in memory."""

    identity: Identity
    state: State
    mailbox: Mailbox
    _waiting: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT_MESSAGES))

    def send(self, site: str, message: Message, seconds: float) -> None:
        """Seal `message` for `site` under the next number, and hand it to the relay, trying for `seconds`.

        Raises:
            UnavailableError: the relay cannot be reached; the number is skipped, which the site logs as a gap.
        """
        card = self.state.sites()[site]
        envelope = seal(self.identity, card, self.state.next_number(site), message)
        patiently(lambda: self.mailbox.send(site, envelope), seconds)

    def upload(self, content: bytes, seconds: float) -> BlobReference:
        """Seal `content` once for whoever is sent the reference, and hand it to the relay, trying for `seconds`."""
        reference, ciphertext = seal_blob(content)
        patiently(lambda: self.mailbox.put_blob(ciphertext), seconds)
        return reference

    def download(self, reference: BlobReference, maximum_bytes: int, seconds: float) -> bytes:
        """Fetch and open sealed content of at most `maximum_bytes`, trying for `seconds`."""
        sealed = patiently(lambda: self.mailbox.get_blob(reference.digest, reference.sealed_size), seconds)
        return open_blob(reference, sealed, maximum_bytes)

    def collect(
        self,
        wanted: Callable[[IdentityCard, Message], bool],
        complete: Callable[[list[Received]], bool],
        seconds: float,
    ) -> list[Received]:
        """Take the wanted messages until they are complete, or until `seconds` have passed; the rest keeps waiting."""
        deadline = time.monotonic() + seconds
        taken: list[Received] = []
        while True:
            kept = deque[Received](maxlen=_KEPT_MESSAGES)
            for card, message in self._waiting:
                (taken if wanted(card, message) else kept).append((card, message))
            self._waiting = kept
            left = deadline - time.monotonic()
            if complete(taken) or left <= 0:
                return taken
            patiently(partial(self._poll, min(left, _LONGEST_POLL_SECONDS)), left)

    def discard(self, unwanted: Callable[[IdentityCard, Message], bool], seconds: float) -> None:
        """Forget the messages of this kind that came so far: answers to an earlier try. Tries for `seconds`."""
        patiently(partial(self._poll, 0), seconds)
        self.collect(unwanted, lambda _taken: True, 0)

    def _poll(self, seconds: float) -> None:
        sites = self.state.sites()
        newest = 0
        for cursor, envelope in self.mailbox.receive(0, seconds):
            newest = cursor
            try:
                opened = open_envelope(self.identity, envelope, sites.get)
                with self.state.transaction() as connection:
                    self.state.take_number(connection, opened.sender.party, opened.number)
                    if isinstance(opened.message, StudyStatus):
                        _keep_status(connection, opened.sender.party, opened.message)
            except (NotAuthenticError, InvalidInputError, ConflictError):
                continue  # forged, damaged or replayed mail: there is nobody to tell
            if not isinstance(opened.message, StudyStatus):
                self._waiting.append((opened.sender, opened.message))
        if newest:
            self.mailbox.acknowledge(newest)


def patiently(act: Callable[[], Answer], seconds: float) -> Answer:
    """Do what needs the relay, and try again while it cannot be reached, until `seconds` have passed."""
    deadline, pause = time.monotonic() + seconds, _SHORTEST_PAUSE_SECONDS
    while True:
        try:
            return act()
        except UnavailableError:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _keep_status(connection: sqlite3.Connection, site: str, message: StudyStatus) -> None:
    known = connection.execute("SELECT 1 FROM studies WHERE study = ?", (message.study,)).fetchone()
    if known is None:
        return
    decision = None if message.decision is None else message.decision.canonical().decode()
    connection.execute(
        "INSERT INTO statuses (study, site, status, detail, decision) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (study, site) DO UPDATE SET status = excluded.status, detail = excluded.detail, "
        "decision = COALESCE(excluded.decision, decision)",
        (message.study, site, message.status, message.detail, decision),
    )
