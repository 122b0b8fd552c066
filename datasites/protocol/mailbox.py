"""The mailbox client: hands sealed mail and blobs to a relay and fetches them, trusting the relay with nothing else."""

import hashlib
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

import httpx

from datasites.protocol.blobs import MAXIMUM_SEALED_BYTES, blob_digest
from datasites.protocol.identity import Identity
from datasites.protocol.relay_wire import LONGEST_WAIT_SECONDS, MAXIMUM_BATCH_BYTES, SignedRequest, split_letters
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from policies.statements.schema import Digest, PartyId

_ANSWER_SECONDS = 60.0
_SHORT_REPLY_BYTES = 4096
_NO_CONTENT = "The relay does not have this content; send it again."
_BATCH_REPLY_BYTES = MAXIMUM_BATCH_BYTES + 4096
_REFUSALS: dict[int, tuple[type[CloisterError], str]] = {
    401: (UnavailableError, "The relay refused the time of this request; set this machine's clock right."),
    403: (
        NotAuthenticError,
        "The relay refused this identity; have its operator admit your card, and use the URL that it gives.",
    ),
    413: (RefusedError, "The relay refused this as too large."),
    429: (UnavailableError, "The relay has no room left for this; it will have when older mail was fetched."),
}


class Mailbox:
    """One party's mailbox at one relay. Every method may be called from any thread, and raises:

    NotAuthenticError: the relay does not know this identity.
    RefusedError: the relay refuses such a request for good.
    UnavailableError: the relay cannot be reached, is full, or answers nonsense; trying again may help.
    """

    def __init__(self, identity: Identity, relay_url: str, clock: Callable[[], float] = time.time) -> None:
        self._identity = identity
        self._audience = relay_url.rstrip("/")
        self._clock = clock
        self._client = httpx.Client(
            timeout=httpx.Timeout(_ANSWER_SECONDS, read=_ANSWER_SECONDS + LONGEST_WAIT_SECONDS),
            limits=httpx.Limits(keepalive_expiry=30),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections to the relay."""
        self._client.close()

    def send(self, recipient: PartyId, envelope: bytes) -> None:
        """Leave a letter for `recipient`; when this returns, the relay has it on disk. Again changes nothing."""
        self._ask("POST", f"/mail/{recipient}", envelope, missing="The relay has no mailbox for this recipient yet.")

    def receive(self, after: int, wait_seconds: float) -> list[tuple[int, bytes]]:
        """The next letters behind cursor `after` (0 for the first), oldest first, each with its cursor.

        Waits up to `wait_seconds` (at most 25) for one; an empty list says that none came. A batch may be partial.
        """
        wait_milliseconds = round(1000 * min(max(wait_seconds, 0.0), LONGEST_WAIT_SECONDS))
        reply = self._ask("GET", f"/mail?after={after}&wait={wait_milliseconds}", limit=_BATCH_REPLY_BYTES)
        try:
            return split_letters(reply, after)
        except InvalidInputError as error:
            raise UnavailableError(str(error)) from error

    def acknowledge(self, up_to: int) -> None:
        """Let the relay forget the letters up to and including cursor `up_to`."""
        self._ask("DELETE", f"/mail?up_to={up_to}")

    def put_blob(self, ciphertext: bytes) -> None:
        """Store sealed content under its digest; storing it again changes nothing."""
        self._ask("PUT", f"/blobs/{blob_digest(ciphertext)}", ciphertext)

    def get_blob(self, digest: Digest, maximum_bytes: int = MAXIMUM_SEALED_BYTES) -> bytes:
        """Fetch sealed content, to be given to `blobs.open_blob`: it alone checks that this is the right one."""
        return self._ask("GET", f"/blobs/{digest}", limit=maximum_bytes, missing=_NO_CONTENT)

    def _ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        limit: int = _SHORT_REPLY_BYTES,
        missing: str = "There is no Cloister relay at this address; check its URL.",
    ) -> bytes:
        request = SignedRequest(
            party=self._identity.party,
            audience=self._audience,
            method=method,
            target=target,
            body_digest=hashlib.sha256(body).hexdigest(),
            time=int(self._clock()),
            nonce=secrets.token_hex(16),
        )
        headers = request.headers(self._identity.signing)
        try:
            with self._client.stream(
                method,
                self._audience + target,
                content=body or None,
                headers={**headers, "accept-encoding": "identity"},
            ) as reply:
                if reply.status_code != httpx.codes.OK:
                    _refuse(reply.status_code, missing)
                return _read(reply, limit)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise UnavailableError(f"The relay cannot be reached ({type(error).__name__}); try again later.") from error


def _refuse(status: int, missing: str) -> NoReturn:
    if status == httpx.codes.NOT_FOUND:
        raise (RefusedError if missing == _NO_CONTENT else UnavailableError)(missing)
    kind, sentence = _REFUSALS.get(
        status, (UnavailableError, f"The relay failed with status {status}; try again later.")
    )
    raise kind(sentence)


def _read(reply: httpx.Response, limit: int) -> bytes:
    # `iter_raw` undoes no compression, so that a small reply cannot swell to a large one.
    content = bytearray()
    for piece in reply.iter_raw():
        if len(content) + len(piece) > limit:
            raise UnavailableError(
                f"The relay's reply is larger than the {limit} bytes that were asked for; try again."
            )
        content += piece
    return bytes(content)
