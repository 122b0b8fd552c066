"""The relay's HTTP face: mailboxes with long poll, and blobs streamed to disk, for signed requests of members only."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

from datasites.protocol.blobs import MAXIMUM_SEALED_BYTES, blob_digest
from datasites.protocol.envelope import MAXIMUM_ENVELOPE_BYTES, read_header
from datasites.protocol.relay_wire import LONGEST_WAIT_SECONDS, SignedRequest, join_letters
from datasites.relay.authentication import authenticate
from datasites.relay.blob_folder import BlobFolder
from datasites.relay.store import RelayStore
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)
from policies.statements.schema import PartyId

_PIECE_BYTES = 1024 * 1024
_MOST_WAITING_REQUESTS = 8
_STATUS: dict[type[CloisterError], int] = {
    InvalidInputError: 400,
    ConflictError: 401,
    NotAuthenticError: 403,
    RefusedError: 413,
    UnavailableError: 429,
}

HexPath = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
CursorQuery = Annotated[int, Query(ge=0, le=2**53 - 1)]
WaitQuery = Annotated[int, Query(ge=0, le=1000 * LONGEST_WAIT_SECONDS, description="milliseconds")]


class Doorbells:
    """Wakes the requests that wait for a member's mail; lives on the event loop."""

    def __init__(self) -> None:
        self._bells: dict[PartyId, asyncio.Event] = {}
        self._waiting: Counter[PartyId] = Counter()

    def listen(self, party: PartyId) -> asyncio.Event:
        """The bell of a mailbox; taken before looking into it, so that no ring is missed."""
        return self._bells.setdefault(party, asyncio.Event())

    def ring(self, party: PartyId) -> None:
        """Say that a letter lies in the mailbox."""
        bell = self._bells.pop(party, None)
        if bell is not None:
            bell.set()

    async def wait(self, party: PartyId, bell: asyncio.Event, seconds: float) -> bool:
        """Whether the bell rang within `seconds`; at once False for a member who has too many requests waiting."""
        if self._waiting[party] >= _MOST_WAITING_REQUESTS:
            return False
        self._waiting[party] += 1
        try:
            async with asyncio.timeout(seconds):
                return await bell.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting[party] -= 1


def create_app(folder: FilePath, audience: str, clock: Callable[[], float] = time.time) -> FastAPI:
    """The relay over `folder`; members sign their requests for `audience`, its URL as they know it."""
    store = RelayStore(folder)
    blob_folder = BlobFolder(store)
    doorbells = Doorbells()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(openapi_url=None, lifespan=lifespan)

    async def member(request: Request) -> SignedRequest:
        target = request.scope["raw_path"].decode("latin-1")
        if request.scope["query_string"]:
            target += "?" + request.scope["query_string"].decode("latin-1")
        return await run_in_threadpool(
            authenticate, store, audience, request.method, target, request.headers, int(clock())
        )

    Member = Annotated[SignedRequest, Depends(member)]  # noqa: N806 (a type)

    @app.post("/mail/{recipient}")
    async def send(recipient: HexPath, request: Request, signed: Member) -> Response:
        pieces = [piece async for piece in _pieces(request, MAXIMUM_ENVELOPE_BYTES)]
        envelope = b"".join(pieces)
        header = read_header(envelope)
        if blob_digest(envelope) != signed.body_digest or (header.sender, header.recipient) != (
            signed.party,
            recipient,
        ):
            raise InvalidInputError("The letter is not the one that was signed for, or not by this member.")
        if not await run_in_threadpool(store.deposit, signed.party, recipient, envelope):
            raise HTTPException(404)
        doorbells.ring(recipient)
        return Response()

    @app.get("/mail")
    async def receive(signed: Member, after: CursorQuery, wait: WaitQuery) -> Response:
        deadline = time.monotonic() + wait / 1000
        while True:
            bell = doorbells.listen(signed.party)
            letters = await run_in_threadpool(store.letters, signed.party, after)
            if letters or not await doorbells.wait(signed.party, bell, deadline - time.monotonic()):
                return Response(join_letters(letters), media_type="application/octet-stream")

    @app.delete("/mail")
    async def acknowledge(signed: Member, up_to: CursorQuery) -> Response:
        await run_in_threadpool(store.acknowledge, signed.party, up_to)
        return Response()

    @app.put("/blobs/{digest}")
    async def put_blob(digest: HexPath, request: Request, signed: Member) -> Response:
        if signed.body_digest != digest:
            raise InvalidInputError("A blob is stored under the digest of its own content.")
        with blob_folder.upload(signed.party, digest) as upload:
            async for piece in _pieces(request, MAXIMUM_SEALED_BYTES):
                await run_in_threadpool(upload.write, piece)
            await run_in_threadpool(upload.finish, int(clock()))
        return Response()

    @app.get("/blobs/{digest}")
    async def get_blob(digest: HexPath, signed: Member) -> Response:
        path = await run_in_threadpool(blob_folder.path, digest)
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type="application/octet-stream")

    @app.exception_handler(CloisterError)
    async def refuse(_request: Request, error: CloisterError) -> Response:
        # Closing spares the relay from reading the rest of a body that it refused.
        headers = {"connection": "close", "content-type": "text/plain; charset=utf-8"}
        return Response(str(error), status_code=_STATUS[type(error)], headers=headers)

    @app.exception_handler(RequestValidationError)
    async def misshapen(_request: Request, _error: RequestValidationError) -> Response:
        return Response(status_code=400)

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)

    @app.exception_handler(OSError)
    async def disk_trouble(_request: Request, _error: OSError) -> Response:
        return Response(status_code=507)

    return app


async def _pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body in pieces of about 1 MiB; RefusedError as soon as it is known to exceed `limit` bytes."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > limit:
        raise RefusedError(f"At most {limit} bytes are accepted here.")
    total, piece = 0, bytearray()
    async for part in request.stream():
        total += len(part)
        if total > limit:
            raise RefusedError(f"At most {limit} bytes are accepted here.")
        piece += part
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
