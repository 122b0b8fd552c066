"""One HTTP exchange over ASGI: its signed-for target, its body in bounded pieces, and replies that cannot hang."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from datasites.protocol.relay_wire import TRANSPORT_STALL_SECONDS
from datasites.relay.connections import GuardedProtocol
from policies.errors import InvalidInputError, RefusedError

PIECE_BYTES = 1024 * 1024


class GoneError(Exception):
    """The other end hung up, or has not moved for too long."""


class Exchange:
    """A request and the way back."""

    def __init__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        self.target = f"{self.path}?{query}" if query else self.path
        self.query = query
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.begun = False
        self.connection: GuardedProtocol = scope["state"]["connection"]

    async def pieces(self, limit: int) -> AsyncIterator[bytearray]:
        """The body in pieces of about 1 MiB; at a break, what had come is given first.

        Raises:
            RefusedError: as soon as it is known to exceed `limit` bytes.
            GoneError: it broke off, or stalled.
        """
        announced = self.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            raise RefusedError(f"At most {limit} bytes are accepted here.")
        left, piece = limit, bytearray()
        while True:
            try:
                message = await asyncio.wait_for(self._receive(), TRANSPORT_STALL_SECONDS)
            except TimeoutError:
                message = {"type": "http.disconnect"}
            body = message.get("body", b"")
            left -= len(body)
            if left < 0:
                raise RefusedError(f"At most {limit} bytes are accepted here.")
            piece += body
            gone = message["type"] == "http.disconnect"
            ended = gone or not message.get("more_body", False)
            if piece and (ended or len(piece) >= PIECE_BYTES):
                yield piece
                piece = bytearray()
            if gone:
                self.connection.transport.abort()
                raise GoneError
            if ended:
                return

    async def body(self, limit: int) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces(limit)])

    async def begin(self, status: int, length: int, **headers: str) -> None:
        """The head of a reply with `length` bytes."""
        lines = [(b"content-length", str(length).encode())]
        lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def add(self, content: bytes, more: bool) -> None:
        """More of the reply's body, as soon as what was given before has left.

        Raises:
            GoneError: the other end takes nothing any more.
        """
        try:
            async with asyncio.timeout(TRANSPORT_STALL_SECONDS):
                await self._send({"type": "http.response.body", "body": content, "more_body": more})
        except TimeoutError as error:
            self.connection.transport.abort()
            raise GoneError from error

    async def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
        """A whole reply."""
        await self.begin(status, len(content), **headers)
        await self.add(content, more=False)


def numbers(query: str, **most: int) -> list[int]:
    """The values of a query that must have exactly these names in this order, each a number up to the one given.

    Raises:
        InvalidInputError: it has not.
    """
    found = [part.partition("=") for part in query.split("&")]
    if [name for name, _, _ in found] != list(most) or any(
        not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= limit)
        for (_, _, text), limit in zip(found, most.values(), strict=True)
    ):
        raise InvalidInputError("The request's query is not of the form that this relay knows.")
    return [int(text) for _, _, text in found]
