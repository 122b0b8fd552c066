"""The relay's connections: bounded headers, and strangers who can neither linger nor crowd out the members.

A connection is a stranger's until a request on it was signed by a member. uvicorn itself bounds neither the headers nor
the time until they have come; its protocol class is what its option `http` is for.
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from datasites.protocol.relay_wire import TRANSPORT_STALL_SECONDS
from policies.errors import InvalidInputError
from policies.statements.schema import PartyId

MAXIMUM_HEADER_BYTES = 16 * 1024


class Door:
    """Which connections are open, and whose; lives on the event loop."""

    def __init__(self, most_strangers: int, most_of_a_member: int) -> None:
        self._most_strangers = most_strangers
        self._most_of_a_member = most_of_a_member
        self._strangers: dict[GuardedProtocol, None] = {}
        self._members: Counter[PartyId] = Counter()

    def enter(self, connection: "GuardedProtocol") -> None:
        """A new connection; the stranger who came first makes room for it."""
        if len(self._strangers) >= self._most_strangers:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.transport.abort()
        self._strangers[connection] = None

    def welcome(self, connection: "GuardedProtocol", party: PartyId) -> bool:
        """A member's request came on this connection; False if it has too many."""
        if connection.party is None:
            if self._members[party] >= self._most_of_a_member:
                return False
            connection.party = party
            self._members[party] += 1
            self._strangers.pop(connection, None)
        return True

    def leave(self, connection: "GuardedProtocol") -> None:
        """A connection ended."""
        self._strangers.pop(connection, None)
        if connection.party is not None:
            self._members[connection.party] -= 1
            if not self._members[connection.party]:
                del self._members[connection.party]


class GuardedProtocol(HttpToolsProtocol):
    """One connection. It ends when its headers are too long, or do not come in time.

    What members never send is refused as no HTTP: another request before the reply to the last one, of which a few
    bytes each would cost much, and bodies in chunks, behind which come headers without a bound.
    """

    def __init__(self, *arguments: Any, door: Door, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.party: PartyId | None = None
        self._door = door
        self._header_bytes = 0
        self._headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._door.enter(self)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        self._door.leave(self)
        super().connection_lost(exc)

    def welcome(self, party: PartyId) -> bool:
        """A member's request came on this connection; False if that member has too many."""
        return self._door.welcome(self, party)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._headers_due is not None:
            # httptools keeps an unfinished header in memory, however long it becomes.
            self._header_bytes += len(data)
            if self._header_bytes > MAXIMUM_HEADER_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            raise InvalidInputError("One request after the other, please.")
        super().on_message_begin()
        self.scope["state"]["connection"] = self
        self._await_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"transfer-encoding":
            raise InvalidInputError("A body must come with its length.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._headers_came()
        super().on_headers_complete()

    def _await_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(TRANSPORT_STALL_SECONDS, self.transport.abort)

    def _headers_came(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
            self._header_bytes = 0
