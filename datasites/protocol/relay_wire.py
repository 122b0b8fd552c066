"""What a mailbox client and a relay agree on: how a request is signed, and how letters lie in one reply."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.envelope import MAXIMUM_ENVELOPE_BYTES
from policies.errors import InvalidInputError
from policies.statements.schema import Digest, PartyId
from policies.statements.signed import sign, verify

LONGEST_WAIT_SECONDS = 25
MAXIMUM_BATCH_BYTES = 4 * MAXIMUM_ENVELOPE_BYTES
MAXIMUM_BATCH_LETTERS = 100
_DOMAIN = "relay-request"
_CURSOR_BYTES, _LENGTH_BYTES = 8, 4
_HEADERS = {
    "cloister-party": re.compile(r"[0-9a-f]{64}"),
    "cloister-time": re.compile(r"[0-9]{1,12}"),
    "cloister-nonce": re.compile(r"[0-9a-f]{32}"),
    "cloister-body": re.compile(r"[0-9a-f]{64}"),
    "cloister-signature": re.compile(r"[0-9a-f]{128}"),
}


@dataclass(frozen=True)
class SignedRequest:
    """One HTTP request as its sender signs it: for one relay, at one time, once (`nonce`), with one body (SHA-256)."""

    party: PartyId
    audience: str
    method: str
    target: str
    body_digest: Digest
    time: int
    nonce: str

    def headers(self, signing_key: Ed25519PrivateKey) -> dict[str, str]:
        """The headers that carry it, signed."""
        return {
            "cloister-party": self.party,
            "cloister-time": str(self.time),
            "cloister-nonce": self.nonce,
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
        fields = (self.party, self.audience, self.method, self.target, self.body_digest, str(self.time), self.nonce)
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
    )
    return request, bytes.fromhex(values["cloister-signature"])


def join_letters(letters: Iterable[tuple[int, bytes]]) -> bytes:
    """Put letters in one reply, each as cursor (8 bytes) ‖ length (4 bytes) ‖ envelope."""
    return b"".join(
        cursor.to_bytes(_CURSOR_BYTES, "big") + len(envelope).to_bytes(_LENGTH_BYTES, "big") + envelope
        for cursor, envelope in letters
    )


def split_letters(data: bytes, after: int) -> list[tuple[int, bytes]]:
    """Take a reply apart, whose cursors must rise from above `after`.

    Raises:
        InvalidInputError: it is cut off, out of order, or holds more than was agreed.
    """
    letters: list[tuple[int, bytes]] = []
    position, last = 0, after
    while position < len(data):
        start = position + _CURSOR_BYTES + _LENGTH_BYTES
        cursor = int.from_bytes(data[position : position + _CURSOR_BYTES], "big")
        length = int.from_bytes(data[position + _CURSOR_BYTES : start], "big")
        position = start + length
        if position > len(data) or cursor <= last or length > MAXIMUM_ENVELOPE_BYTES:
            raise InvalidInputError("The relay's reply is cut off, out of order or too large; ask again.")
        letters.append((cursor, data[start:position]))
        last = cursor
    if len(letters) > MAXIMUM_BATCH_LETTERS:
        raise InvalidInputError(f"The relay's reply holds more than {MAXIMUM_BATCH_LETTERS} letters; ask again.")
    return letters
