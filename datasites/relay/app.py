"""The relay's HTTP face: mailboxes with long poll, and blobs streamed both ways, for signed requests of members only.

Plain ASGI: what a round costs is mostly its requests, and of a web framework five routes need nothing.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from datasites.protocol.blobs import MAXIMUM_SEALED_BYTES, blob_digest
from datasites.protocol.envelope import read_header
from datasites.protocol.relay_wire import (
    LONGEST_WAIT_SECONDS,
    MAXIMUM_BATCH_BYTES,
    SESSION_HEADER,
    Fate,
    SignedRequest,
    join_letters,
    split_letters,
)
from datasites.relay.authentication import Authentication, OldSessionError
from datasites.relay.blob_folder import BlobFolder, read_at
from datasites.relay.doorbells import Doorbells
from datasites.relay.exchange import PIECE_BYTES, Exchange, GoneError, numbers
from datasites.relay.quotas import Quotas
from datasites.relay.store import RelayStore
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)

_LAST_CURSOR = 2**53 - 1
_NOT_FOUND = 404
_FILE_THREADS = 4
_STATUS: dict[type[CloisterError], int] = {
    InvalidInputError: 400,
    OldSessionError: 401,
    ConflictError: 401,
    NotAuthenticError: 403,
    RefusedError: 413,
    UnavailableError: 429,
}
_RANGE = re.compile(r"bytes=([0-9]{1,16})-")
Answer = TypeVar("Answer")


class App:
    """The relay over `folder`; members sign their requests for `audience`, its URL as they know it."""

    def __init__(self, folder: Path, audience: str, quotas: Quotas, clock: Callable[[], float] = time.time) -> None:
        self._quotas = quotas
        self._clock = clock
        self._store = RelayStore(folder, quotas)
        self._blobs = BlobFolder(self._store)
        self._authentication = Authentication(audience, self._store.signing_key, quotas.nonces)
        self._doorbells = Doorbells(quotas.waiting)
        self._open_requests: Counter[str] = Counter()
        # A commit waits for the disk, and so may a blob: neither must hold up the event loop, nor one the other.
        self._letter_thread = ThreadPoolExecutor(1, "letters")
        self._blob_threads = ThreadPoolExecutor(_FILE_THREADS, "blobs")

    def end_waiting(self) -> None:
        """Answer the requests that wait for mail, before the connections are closed."""
        self._doorbells.close()

    def close(self) -> None:
        """Let go of threads and database, after the last request."""
        for threads in (self._letter_thread, self._blob_threads):
            threads.shutdown()
        self._store.close()

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Answer one request (ASGI 3)."""
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except CloisterError as error:
            # No reply was begun: nothing of ours refuses in the middle of one.
            headers = {SESSION_HEADER: self._authentication.session} if isinstance(error, OldSessionError) else {}
            # Closing spares the relay from reading the rest of a body that it refused.
            await exchange.reply(_STATUS[type(error)], str(error).encode(), connection="close", **headers)
        except OSError:
            if exchange.begun:
                exchange.connection.transport.abort()
            else:
                await exchange.reply(507, connection="close")
        except (GoneError, asyncio.CancelledError):
            exchange.connection.transport.abort()

    async def _answer(self, exchange: Exchange) -> None:
        now = int(self._clock())
        signed = self._authentication.authenticate(exchange.method, exchange.target, exchange.headers, now)
        party = signed.party
        if not exchange.connection.welcome(party) or self._open_requests[party] >= self._quotas.requests:
            raise UnavailableError("This member has too many requests open here; end some first.")
        self._open_requests[party] += 1
        try:
            await self._route(exchange, signed)
        finally:
            self._open_requests[party] -= 1
            if not self._open_requests[party]:
                del self._open_requests[party]

    async def _route(self, exchange: Exchange, signed: SignedRequest) -> None:
        place, _, digest = exchange.path.removeprefix("/").partition("/")
        routes: dict[tuple[str, str], Callable[[Exchange, SignedRequest, str], Awaitable[None]]] = {
            ("POST", "mail"): self._send,
            ("GET", "mail"): self._receive,
            ("GET", "uploads"): self._ask_upload,
            ("PUT", "blobs"): self._put_blob,
            ("GET", "blobs"): self._get_blob,
        }
        route = routes.get((exchange.method, place))
        if route is None or (place == "mail") != (digest == ""):
            await exchange.reply(_NOT_FOUND, connection="close")
        elif digest and not re.fullmatch("[0-9a-f]{64}", digest):
            raise InvalidInputError("A blob is named by 64 hexadecimal digits.")
        else:
            await route(exchange, signed, digest)

    async def _send(self, exchange: Exchange, signed: SignedRequest, _: str) -> None:
        body = await exchange.body(MAXIMUM_BATCH_BYTES)
        if blob_digest(body) != signed.body_digest:
            raise InvalidInputError("These letters are not those that were signed for.")
        letters = []
        for _number, envelope in split_letters(body, 0):
            header = read_header(envelope)
            if header.sender != signed.party:
                raise InvalidInputError("A letter here is not by the member who hands it over.")
            letters.append((header.recipient, envelope))
        fates = await self._with_letters(self._store.deposit, signed.party, letters)
        for (recipient, _envelope), fate in zip(letters, fates, strict=True):
            if fate is Fate.TAKEN:
                self._doorbells.ring(recipient)
        await exchange.reply(200, bytes(fates))

    async def _receive(self, exchange: Exchange, signed: SignedRequest, _: str) -> None:
        after, forget, wait = numbers(
            exchange.query, after=_LAST_CURSOR, forget=_LAST_CURSOR, wait=1000 * LONGEST_WAIT_SECONDS
        )
        deadline = time.monotonic() + wait / 1000
        if forget:
            await self._with_letters(self._store.forget, signed.party, forget)
        while True:
            bell = self._doorbells.listen(signed.party)
            letters = await self._with_letters(self._store.letters, signed.party, after)
            left = deadline - time.monotonic()
            if letters or not await self._doorbells.wait(signed.party, bell, left):
                return await exchange.reply(200, join_letters(letters), content_type="application/octet-stream")

    async def _ask_upload(self, exchange: Exchange, signed: SignedRequest, digest: str) -> None:
        (size,) = numbers(exchange.query, size=_LAST_CURSOR)
        now = int(self._clock())
        received = await self._with_blobs(self._blobs.received, signed.party, digest, size, now)
        await exchange.reply(200, str(received).encode())

    async def _put_blob(self, exchange: Exchange, signed: SignedRequest, digest: str) -> None:
        offset, size = numbers(exchange.query, offset=_LAST_CURSOR, size=_LAST_CURSOR)
        if signed.body_digest != digest:
            raise InvalidInputError("A blob is stored under the digest of its own content.")
        now = int(self._clock())
        upload = await self._with_blobs(self._blobs.upload, signed.party, digest, offset, size, now)
        try:
            while await self._with_blobs(upload.take_up):
                pass
            async for piece in exchange.pieces(min(size - offset, MAXIMUM_SEALED_BYTES)):
                await self._with_blobs(upload.write, piece)
            if not await self._with_blobs(upload.finish):
                raise InvalidInputError("Less came than was announced.")
            await self._with_blobs(self._blobs.keep, signed.party, upload, int(self._clock()))
        except InvalidInputError:
            await self._with_blobs(self._blobs.give_up, signed.party, upload)
            raise
        finally:
            await self._with_blobs(self._blobs.leave, signed.party, upload)
        await exchange.reply(200)

    async def _get_blob(self, exchange: Exchange, _signed: SignedRequest, digest: str) -> None:
        file = await self._with_blobs(self._blobs.open, digest)
        if file is None:
            return await exchange.reply(_NOT_FOUND)
        with file:
            size = file.seek(0, 2)
            asked = _RANGE.fullmatch(exchange.headers.get("range", "bytes=0-"))
            offset = int(asked[1]) if asked else 0
            if offset > size:
                raise InvalidInputError("The content ends before the range that was asked for.")
            await exchange.begin(206 if offset else 200, size - offset, content_type="application/octet-stream")
            while True:
                piece = await self._with_blobs(read_at, file, offset, PIECE_BYTES)
                if not piece and offset < size:
                    raise OSError("this blob's file was cut off")
                offset += len(piece)
                await exchange.add(piece, more=offset < size)
                if offset >= size:
                    return None

    async def _with_letters(self, act: Callable[..., Answer], *values: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._letter_thread, partial(act, *values))

    async def _with_blobs(self, act: Callable[..., Answer], *values: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._blob_threads, partial(act, *values))
