"""Signed HTTP requests to one relay: kept-alive connections, bounded replies, and refusals as our own errors."""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import httpx

from datasites.protocol.identity import Identity
from datasites.protocol.relay_wire import (
    NO_SESSION,
    SESSION_HEADER,
    TRANSPORT_STALL_SECONDS,
    SignedRequest,
    is_session,
)
from policies.errors import CloisterError, NotAuthenticError, RefusedError, UnavailableError
from policies.statements.schema import Digest

_KEPT_ALIVE_SECONDS = 30
_REFUSALS: dict[int, tuple[type[CloisterError], str]] = {
    401: (UnavailableError, "The relay refused the time of this request; set this machine's clock right."),
    403: (
        NotAuthenticError,
        "The relay refused this identity; have its operator admit your card, and use the URL that it gives.",
    ),
    404: (UnavailableError, "There is no Cloister relay at this address; check its URL."),
    413: (RefusedError, "The relay refused this as too large for this member's share."),
    429: (UnavailableError, "The relay has no room left for this; it will have when older mail was fetched."),
}
_NO_BODY = hashlib.sha256(b"").hexdigest()


class RelayConnection:
    """One party's way to one relay; safe from any thread."""

    def __init__(self, identity: Identity, relay_url: str, clock: Callable[[], float]) -> None:
        self._identity = identity
        self._audience = relay_url.rstrip("/")
        self._clock = clock
        self._session = NO_SESSION
        self._client = httpx.Client(
            timeout=TRANSPORT_STALL_SECONDS,
            limits=httpx.Limits(keepalive_expiry=_KEPT_ALIVE_SECONDS),
            headers={"accept-encoding": "identity"},
        )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def ask(self, method: str, target: str, body: bytes = b"", *, limit: int, wait_seconds: float = 0.0) -> bytes:
        """One request with its reply of at most `limit` bytes, which may take `wait_seconds` to begin."""
        digest = hashlib.sha256(body).hexdigest() if body else _NO_BODY
        with unreachable(), self.asked(method, target, digest, {}, body, wait_seconds=wait_seconds) as reply:
            return b"".join(read_reply(reply, limit))

    def upload(self, target: str, digest: Digest, size: int, pieces: Iterable[bytes]) -> None:
        """Send `size` bytes of the content with this digest; the question before it has learnt the session."""
        with unreachable(), self.asked("PUT", target, digest, {"content-length": str(size)}, pieces):
            pass

    @contextmanager
    def asked(
        self,
        method: str,
        target: str,
        body_digest: Digest,
        extra: dict[str, str],
        body: bytes | Iterable[bytes] = b"",
        *,
        wait_seconds: float = 0.0,
        missing: CloisterError | None = None,
    ) -> Iterator[httpx.Response]:
        """The reply to a signed request; signed anew once, where the relay has begun another session.

        Raises:
            CloisterError: the relay refused it.
        """
        timeout = httpx.Timeout(TRANSPORT_STALL_SECONDS, read=TRANSPORT_STALL_SECONDS + wait_seconds)
        for _ in range(2):
            session = self._session
            headers = self._signed(method, target, body_digest, session).headers(self._identity.signing) | extra
            with self._client.stream(
                method, self._audience + target, content=body or None, headers=headers, timeout=timeout
            ) as reply:
                if reply.status_code in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                    yield reply
                    return
                begun = reply.headers.get(SESSION_HEADER, "")
                if reply.status_code != httpx.codes.UNAUTHORIZED or not is_session(begun) or begun == session:
                    raise missing if missing and reply.status_code == httpx.codes.NOT_FOUND else _refusal(reply)
                self._session = begun
                if not isinstance(body, bytes):
                    break  # its pieces are used up
        raise UnavailableError("The relay was started again meanwhile; try again.")

    def _signed(self, method: str, target: str, body_digest: Digest, session: str) -> SignedRequest:
        return SignedRequest(
            party=self._identity.party,
            audience=self._audience,
            method=method,
            target=target,
            body_digest=body_digest,
            time=int(self._clock()),
            nonce=secrets.token_hex(16),
            session=session,
        )


@contextmanager
def unreachable() -> Iterator[None]:
    """Whatever breaks on the way to the relay, as UnavailableError."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise UnavailableError(f"The relay cannot be reached ({type(error).__name__}); try again later.") from error


def read_reply(reply: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces as they come, UnavailableError where it exceeds `limit` bytes."""
    total = 0
    # `iter_raw` undoes no compression, so that a small reply cannot swell to a large one.
    for piece in reply.iter_raw():
        total += len(piece)
        if total > limit:
            raise UnavailableError(
                f"The relay's reply is larger than the {limit} bytes that were asked for; try again."
            )
        yield piece


def _refusal(reply: httpx.Response) -> CloisterError:
    kind, sentence = _REFUSALS.get(
        reply.status_code, (UnavailableError, f"The relay failed with status {reply.status_code}; try again later.")
    )
    return kind(sentence)
