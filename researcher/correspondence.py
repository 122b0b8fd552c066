"""Mail between the researcher and the sites: sealed, numbered, and kept until somebody asks for it."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import LetterContent, unwrap, wrap
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.job_messages import JobMessageToResearcher
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import Message, StudyStatus
from datasites.protocol.question_messages import RequestQuestion
from datasites.protocol.relay_wire import Fate
from datasites.protocol.weight_messages import WeightsWanted
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from researcher.cohort import in_cohort
from researcher.job_state import keep_mail
from researcher.question_state import keep_question
from researcher.sent_weights import note_taken, note_wanted
from researcher.state import State
from researcher.witness import keep_checkpoint

_LONGEST_POLL_SECONDS = 20.0
_KEPT_OF_A_SITE = 1_000
_SHORTEST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0

Received = tuple[IdentityCard, Message]
Answer = TypeVar("Answer")
_KEPT_IN_THE_STATE = StudyStatus | WeightsWanted | RequestQuestion | JobMessageToResearcher | WitnessRequest
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""A defect of ours must not let one letter stop all mail."""


@dataclass
class Correspondence:
    """The researcher's end of every conversation: statuses, questions and mail on jobs go to the state file.

    The rest goes to memory. Of each site the newest 1 000 wait, more than any honest one has to say at a time: none
    fills the memory, and none crowds out what another sent.
    """

    identity: Identity
    state: State
    mailbox: Mailbox
    clock: Callable[[], float] = time.time
    _waiting: list[Received] = field(default_factory=list)
    _owed: dict[str, WitnessReply] = field(default_factory=dict)
    _cursor: int = 0

    def send(self, sites: Sequence[str], message: Message, seconds: float) -> None:
        """Seal `message` for each of `sites` under its next number, and hand all to the relay, trying for `seconds`.

        Raises:
            UnavailableError: the relay cannot be reached or did not take all; a number that was not used is skipped,
                which its site logs as a gap.
        """
        cards = self.state.sites()
        numbers = self.state.next_numbers(sites)
        envelopes = {site: seal(self.identity, cards[site], number, message) for site, number in numbers.items()}

        def hand_over() -> None:
            fates = self.mailbox.send(list(envelopes.values()))
            for site, fate in zip(list(envelopes), fates, strict=True):
                if fate is Fate.TAKEN:
                    del envelopes[site]
            if envelopes:
                names = ", ".join(cards[site].name for site in envelopes)
                raise UnavailableError(f"The relay has no mailbox for {names}, or no room left in it; try again later.")

        patiently(hand_over, seconds)

    def upload(self, content: bytes | memoryview, seconds: float) -> LetterContent | BlobReference:
        """Seal `content` once for whoever is sent what this gives; only what is large goes to the relay by itself."""
        reference, sealed = wrap(content)
        if sealed is not None:
            self.mailbox.put_blob(sealed, seconds)
        return reference

    def open(self, content: LetterContent | BlobReference, maximum_bytes: int, seconds: float) -> Iterator[bytes]:
        """The plain content, of at most `maximum_bytes`, in authenticated pieces while it comes, for `seconds`.

        Raises:
            InvalidInputError: it is larger; nothing was fetched.
            NotAuthenticError: the relay gave something else; nothing given so far may be used.
            UnavailableError: it did not come within `seconds`.
        """
        return unwrap(content, maximum_bytes, lambda reference: self.mailbox.get_blob(reference, seconds))

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
            taken = _newest([*taken, *(it for it in self._waiting if wanted(*it))])
            self._waiting = [it for it in self._waiting if not wanted(*it)]
            left = deadline - time.monotonic()
            if complete(taken) or left <= 0:
                return taken
            patiently(partial(self._poll, min(left, _LONGEST_POLL_SECONDS)), left)

    def discard(self, unwanted: Callable[[IdentityCard, Message], bool], seconds: float) -> None:
        """Forget the messages of this kind that came so far: answers to an earlier try. Tries for `seconds`."""
        patiently(partial(self._poll, 0), seconds)
        self.collect(unwanted, lambda _taken: True, 0)

    def listen(self, seconds: float) -> None:
        """Take in what lies at the relay, waiting up to `seconds` for something; it waits here for whoever wants it.

        Raises:
            UnavailableError: the relay cannot be reached.
        """
        self._poll(seconds)

    def _poll(self, seconds: float) -> None:
        sites = self.state.sites()
        for cursor, envelope in self.mailbox.receive(self._cursor, seconds):
            self._take(envelope, sites)
            self._cursor = cursor
        self._waiting = _newest(self._waiting)
        self._answer_questions()

    def _answer_questions(self) -> None:
        """Send the answers that witnessed sites wait for; a site that gets none asks again, so one try will do."""
        owed, self._owed = self._owed, {}
        for site, reply in owed.items():
            with suppress(UnavailableError):
                self.send([site], reply, 0)

    def _take(self, envelope: bytes, sites: dict[str, IdentityCard]) -> None:
        try:
            opened = open_envelope(self.identity, envelope, sites.get)
            with self.state.transaction() as connection:
                self.state.take_number(connection, opened.sender.party, opened.number)
                if isinstance(opened.message, StudyStatus):
                    _keep_status(connection, opened.sender.party, opened.message)
                elif isinstance(opened.message, WeightsWanted):
                    note_wanted(connection, opened.sender.party, opened.message)
                elif isinstance(opened.message, RequestQuestion):
                    keep_question(connection, opened.sender, opened.message)
                elif isinstance(opened.message, JobMessageToResearcher):
                    keep_mail(connection, opened.sender.party, opened.message, most=_KEPT_OF_A_SITE)
                elif isinstance(opened.message, WitnessRequest):
                    sender, now = opened.sender, int(self.clock())
                    reply = keep_checkpoint(connection, self.identity, sender, opened.message, now)
                    self._owed[sender.party] = reply
        except (NotAuthenticError, InvalidInputError, ConflictError, RefusedError, *_UNFORESEEN):
            return  # forged, damaged or replayed mail: there is nobody to tell, and the next letter waits
        if not isinstance(opened.message, _KEPT_IN_THE_STATE):
            self._waiting.append((opened.sender, opened.message))


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


def _newest(received: Sequence[Received]) -> list[Received]:
    """What came, in its order, without what is older than the newest `_KEPT_OF_A_SITE` of its site."""
    seen = Counter[str]()
    kept: list[Received] = []
    for card, message in reversed(received):
        seen[card.party] += 1
        if seen[card.party] <= _KEPT_OF_A_SITE:
            kept.append((card, message))
    return kept[::-1]


def _keep_status(connection: sqlite3.Connection, site: str, message: StudyStatus) -> None:
    if not in_cohort(connection, message.study, site):
        return
    decision = None if message.decision is None else message.decision.canonical().decode()
    connection.execute(
        "INSERT INTO statuses (study, site, status, detail, decision) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (study, site) DO UPDATE SET status = excluded.status, detail = excluded.detail, "
        "decision = COALESCE(excluded.decision, decision)",
        (message.study, site, message.status, message.detail, decision),
    )
    note_taken(connection, site, message.study, message.status)
    if message.ground is not None:
        connection.execute(
            "INSERT INTO grounds (study, site, ground) VALUES (?, ?, ?) "
            "ON CONFLICT (study, site) DO UPDATE SET ground = excluded.ground",
            (message.study, site, message.ground.canonical().decode()),
        )
