"""Sending the outbox: all that can go in one request, and nobody who cannot be served just now holds up the others."""

from collections.abc import Collection, Sequence
from threading import Lock

from datasites.protocol.envelope import seal
from datasites.protocol.identity import IdentityCard
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import blob_of
from datasites.protocol.relay_wire import MAXIMUM_BATCH_LETTERS, Fate
from datasites.serving.lifecycle import Pause, report
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.outbox import Outgoing as Letter
from datasites.store.outbox import oldest, sent
from datasites.store.peers import require_card
from datasites.store.referred import sweep_contents
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError, RefusedError, UnavailableError

_UPLOAD_SECONDS = 30.0
"""For resuming an upload within one try; the next try, after a pause, goes on where this one ended."""
_WHY = {
    Fate.NO_MAILBOX: "The relay has no mailbox for this recipient yet.",
    Fate.FULL: "The relay has no room left for this; it will have when older mail was fetched.",
}


class Outgoing:
    """Sends a datasite's letters. Those to one recipient go in the order of their numbers, or wait together."""

    def __init__(self, site: Site, mailbox: Mailbox) -> None:
        self._site = site
        self._mailbox = mailbox
        self._pauses: dict[str, Pause] = {}
        self._cards: dict[str, IdentityCard] = {}
        self._served: set[str] = set()
        self._passed_over: set[str] = set()
        self._choosing = Lock()

    def send_waiting(self, *, large: bool) -> bool:
        """Send, or try to send, what waits for recipients who do not rest; True if there may be more of either kind.

        `large` says whether to serve recipients who are sent large content, or the others: two threads do one each, so
        that nobody waits for an upload to somebody else.
        """
        with self._choosing:
            letters, more = self._choose(large)
            recipients = {it.recipient for it in letters}
            self._served |= recipients
        try:
            self._send(letters)
        finally:
            with self._choosing:
                self._served -= recipients
                passed_over, self._passed_over = self._passed_over & recipients, self._passed_over - recipients
        return more or bool(passed_over)

    def _choose(self, large: bool) -> tuple[list[Letter], bool]:
        resting = {party for party, pause in list(self._pauses.items()) if pause.seconds_left() > 0}
        with reading(self._site.engine) as connection:
            letters = oldest(connection, resting, MAXIMUM_BATCH_LETTERS)
            for party in {it.recipient for it in letters} - self._cards.keys():
                self._cards[party] = require_card(connection, party)  # a pin is for good
        with_large = {it.recipient for it in letters if it.has_blob}
        wanted = [it for it in letters if (it.recipient in with_large) == large]
        # Whoever is sent small letters just now is looked at again by the thread that sends them.
        self._passed_over |= self._served & {it.recipient for it in (wanted if large else letters)}
        return [it for it in wanted if it.recipient not in self._served], len(letters) == MAXIMUM_BATCH_LETTERS

    def seconds_to_next_try(self) -> float | None:
        """How long until a recipient who could not be served is tried again; None if there is none."""
        left = [pause.seconds_left() for pause in list(self._pauses.values())]
        return max(0.0, min(left)) if left else None

    def _send(self, letters: Sequence[Letter]) -> None:
        sealed: dict[int, bytes] = {}
        given_up: list[Letter] = []
        waiting: set[str] = set()
        for letter in letters:
            card = self._cards[letter.recipient]
            if letter.recipient in waiting:
                continue
            try:
                self._upload(letter)
                sealed[letter.identifier] = seal(self._site.identity, card, letter.number, letter.message)
            except (RefusedError, InvalidInputError) as error:
                report(f"A letter to {card.name} cannot be sent and was given up: {error}")
                given_up.append(letter)
            except (UnavailableError, NotAuthenticError) as error:
                self._rest(card, error)
                waiting.add(letter.recipient)
        taken = self._hand_over([it for it in letters if it.identifier in sealed], sealed)
        self._forget([*given_up, *taken])
        for letter in taken:
            pause = self._pauses.get(letter.recipient)
            if pause is not None and pause.seconds_left() <= 0:
                del self._pauses[letter.recipient]

    def _upload(self, letter: Letter) -> None:
        reference = blob_of(letter.message)
        if not letter.has_blob or reference is None:
            return
        self._mailbox.put_blob(self._site.contents.sealed_file(reference), _UPLOAD_SECONDS)

    def _hand_over(self, letters: Sequence[Letter], sealed: dict[int, bytes]) -> list[Letter]:
        """Gives those that the relay took."""
        if not letters:
            return []
        recipients = {it.recipient: self._cards[it.recipient] for it in letters}
        try:
            fates = self._mailbox.send([sealed[it.identifier] for it in letters])
        except (UnavailableError, NotAuthenticError, RefusedError) as error:
            for card in recipients.values():
                self._rest(card, error)
            return []
        taken = []
        for letter, fate in zip(letters, fates, strict=True):
            if fate is Fate.TAKEN:
                taken.append(letter)
            elif letter.recipient in recipients:
                self._rest(recipients.pop(letter.recipient), UnavailableError(_WHY[fate]))
        return taken

    def _rest(self, card: IdentityCard, error: CloisterError) -> None:
        report(f"A letter to {card.name} waits: {error}")
        self._pauses.setdefault(card.party, Pause()).next()

    def _forget(self, letters: Collection[Letter]) -> None:
        if letters:
            with self._site.engine.begin() as connection:
                sent(connection, [it.identifier for it in letters])
        if any(it.has_blob for it in letters):
            sweep_contents(self._site.engine, self._site.contents, self._site.now)
