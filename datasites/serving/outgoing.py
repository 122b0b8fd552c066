"""Sending the outbox: oldest first, and nobody who cannot be served just now holds up the others."""

from datasites.protocol.envelope import seal
from datasites.protocol.mailbox import Mailbox
from datasites.serving.lifecycle import Pause, report
from datasites.site import Site
from datasites.store.outbox import oldest, sent
from datasites.store.peers import require_card
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError


class Outgoing:
    """Sends a datasite's letters one by one."""

    def __init__(self, site: Site, mailbox: Mailbox) -> None:
        self._site = site
        self._mailbox = mailbox
        self._pauses: dict[str, Pause] = {}

    def send_next(self) -> bool:
        """Send, or try to send, one letter; False if none can be sent now."""
        site = self._site
        resting = [party for party, pause in self._pauses.items() if pause.seconds_left() > 0]
        with site.engine.begin() as connection:
            letter = oldest(connection, without=resting)
            card = None if letter is None else require_card(connection, letter.recipient)
        if letter is None or card is None:
            return False
        try:
            if letter.blob is not None:
                self._mailbox.put_blob(letter.blob)
            self._mailbox.send(card.party, seal(site.identity, card, letter.number, letter.message))
        except (RefusedError, InvalidInputError) as error:
            report(f"A letter to {card.name} cannot be sent and was given up: {error}")
        except (UnavailableError, NotAuthenticError) as error:
            report(f"A letter to {card.name} waits: {error}")
            self._pauses.setdefault(card.party, Pause()).next()
            return True
        self._pauses.pop(card.party, None)
        with site.engine.begin() as connection:
            sent(connection, letter.identifier)
        return True

    def seconds_to_next_try(self) -> float | None:
        """How long until a recipient who could not be served is tried again; None if there is none."""
        left = [pause.seconds_left() for pause in self._pauses.values()]
        return max(0.0, min(left)) if left else None
