"""What a mailbox client and a relay agree on: how a request is signed, how letters lie together, how long to wait."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.envelope import MAXIMUM_ENVELOPE_BYTES
from policies.errors import InvalidInputError, RefusedError
from policies.statements.schema import Digest, PartyId
from policies.statements.signed import sign, verify

LONGEST_WAIT_SECONDS = 25
"""How long a relay lets a request wait for mail, at most."""
TRANSPORT_STALL_SECONDS = 20.0
"""A connection on which nothing has moved for this long is given up by either side; whoever needs it makes another.

It bounds one silence, not the whole: how long is tried in all is the caller's patience, which comes from the terms.
"""
MAXIMUM_BATCH_LETTERS = 100
FRAME_BYTES = 12
MAXIMUM_BATCH_BYTES = MAXIMUM_ENVELOPE_BYTES + MAXIMUM_BATCH_LETTERS * FRAME_BYTES
"""Of letters in one request or reply: room for one of the largest, or for many small ones."""
NO_SESSION = "0" * 32
SESSION_HEADER = "cloister-session"
_DOMAIN = "relay-request"
_CURSOR_BYTES, _LENGTH_BYTES = 8, 4
_HEADERS = {
    "cloister-party": re.compile(r"[0-9a-f]{64}"),
    "cloister-time": re.compile(r"[0-9]{1,12}"),
    "cloister-nonce": re.compile(r"[0-9a-f]{32}"),
    SESSION_HEADER: re.compile(r"[0-9a-f]{32}"),
    "cloister-body": re.compile(r"[0-9a-f]{64}"),
    "cloister-signature": re.compile(r"[0-9a-f]{128}"),
}


class Fate(IntEnum):
    """What became of a letter that was handed to the relay; one byte a letter in its answer."""

    TAKEN = 0
    NO_MAILBOX = 1
    FULL = 2


@dataclass(frozen=True)
class SignedRequest:
    """One HTTP request as its sender signs it: for one relay, at one time, once (`nonce`), with one body (SHA-256).

    `session` is a value that the relay draws at each start and tells whoever does not know it: it remembers nonces in
    memory, and what was signed for an earlier session is not accepted, so that no request can be made again.
    """

    party: PartyId
    audience: str
    method: str
    target: str
    body_digest: Digest
    time: int
    nonce: str
    session: str

    def headers(self, signing_key: Ed25519PrivateKey) -> dict[str, str]:
        """The headers that carry it, signed."""
        return {
            "cloister-party": self.party,
            "cloister-time": str(self.time),
            "cloister-nonce": self.nonce,
            SESSION_HEADER: self.session,
            "cloister-body": self.body_digest,
            "cloister-signature": sign(signing_key, _DOMAIN, *self._parts()).hex(),
        }

    def verify(self, signing_key: bytes, signature: bytes) -> None:
        """Check that the holder of `signing_key` (raw, 32 bytes) signed exactly this request.

        Raises:
            NotAuthenticError: somebody else did, or something was changed.
        """
        verify(signing_key, signature, _DOMAIN, *self._parts(), what="the request to the relay")

    def _parts(self) -> tuple[bytes, ...]:
        request = (self.party, self.audience, self.method, self.target, self.body_digest)
        fields = (*request, str(self.time), self.nonce, self.session)
        return tuple(field.encode() for field in fields)


def parse_headers(headers: Mapping[str, str], audience: str, method: str, target: str) -> tuple[SignedRequest, bytes]:
    """Read a signed request and its signature from untrusted headers; proves nothing before `verify`.

    Raises:
        InvalidInputError: a header is missing or malformed.
    """
    values = {name: headers.get(name, "") for name in _HEADERS}
    wrong = [name for name, pattern in _HEADERS.items() if not pattern.fullmatch(values[name])]
    if wrong:
        raise InvalidInputError(f"The request's header {wrong[0]} is missing or malformed.")
    request = SignedRequest(
        party=values["cloister-party"],
        audience=audience,
        method=method,
        target=target,
        body_digest=values["cloister-body"],
        time=int(values["cloister-time"]),
        nonce=values["cloister-nonce"],
        session=values[SESSION_HEADER],
    )
    return request, bytes.fromhex(values["cloister-signature"])


def is_session(value: str) -> bool:
    """Whether this may be a relay's session: 32 hexadecimal digits."""
    return _HEADERS[SESSION_HEADER].fullmatch(value) is not None


def join_letters(letters: Iterable[tuple[int, bytes]]) -> bytes:
    """Put letters together, each as cursor (8 bytes) ‖ length (4 bytes) ‖ envelope."""
    return b"".join(
        part
        for cursor, envelope in letters
        for part in (cursor.to_bytes(_CURSOR_BYTES, "big"), len(envelope).to_bytes(_LENGTH_BYTES, "big"), envelope)
    )


def split_letters(data: bytes, after: int) -> list[tuple[int, bytes]]:
    """Take apart what `join_letters` made; the cursors must rise from above `after`.

    Raises:
        InvalidInputError: it is cut off, out of order, or holds more than was agreed.
    """
    letters: list[tuple[int, bytes]] = []
    position, last = 0, after
    while position < len(data):
        start = position + FRAME_BYTES
        cursor = int.from_bytes(data[position : position + _CURSOR_BYTES], "big")
        length = int.from_bytes(data[position + _CURSOR_BYTES : start], "big")
        position = start + length
        if position > len(data) or cursor <= last or length > MAXIMUM_ENVELOPE_BYTES:
            raise InvalidInputError("This batch of letters is cut off, out of order or too large; ask again.")
        letters.append((cursor, data[start:position]))
        last = cursor
    if len(letters) > MAXIMUM_BATCH_LETTERS:
        raise InvalidInputError(f"This batch holds more than {MAXIMUM_BATCH_LETTERS} letters; ask again.")
    return letters


def batches(letters: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Letters in their order, in parts that each fit one request.

    Raises:
        RefusedError: one of them is larger than any letter may be.
    """
    part: list[bytes] = []
    size = 0
    for letter in letters:
        if len(letter) > MAXIMUM_ENVELOPE_BYTES:
            raise RefusedError(f"A letter of {len(letter)} bytes is too large; it holds {MAXIMUM_ENVELOPE_BYTES}.")
        if part and (len(part) == MAXIMUM_BATCH_LETTERS or size + len(letter) > MAXIMUM_ENVELOPE_BYTES):
            yield part
            part, size = [], 0
        part.append(letter)
        size += len(letter)
    if part:
        yield part
