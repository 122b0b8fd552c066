"""Wakes the requests that wait for a member's mail."""

import asyncio
from collections import Counter

from policies.statements.schema import PartyId


class Doorbells:
    """One bell a mailbox; lives on the event loop."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._bells: dict[PartyId, asyncio.Event] = {}
        self._waiting: Counter[PartyId] = Counter()
        self._closing = False

    def listen(self, party: PartyId) -> asyncio.Event:
        """The bell of a mailbox; taken before looking into it, so that no ring is missed."""
        return self._bells.setdefault(party, asyncio.Event())

    def ring(self, party: PartyId) -> None:
        """Say that a letter lies in the mailbox."""
        bell = self._bells.pop(party, None)
        if bell is not None:
            bell.set()

    def close(self) -> None:
        """The relay ends: whoever waits is told that nothing came."""
        self._closing = True
        for party in list(self._bells):
            self.ring(party)

    async def wait(self, party: PartyId, bell: asyncio.Event, seconds: float) -> bool:
        """Whether the bell rang within `seconds`; at once False for a member who has too many requests waiting."""
        if self._closing or self._waiting[party] >= self._most_waiting:
            return False
        self._waiting[party] += 1
        try:
            async with asyncio.timeout(seconds):
                return await bell.wait() and not self._closing
        except TimeoutError:
            return False
        finally:
            self._waiting[party] -= 1
            if not self._waiting[party]:
                del self._waiting[party]
