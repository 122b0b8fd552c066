"""Envelopes: one message sealed to one pinned party and signed by its sender, under a number that strictly rises.

Layout: 2 bytes length ‖ header (canonical JSON, which the relay may read) ‖ HPKE (RFC 9180, base mode) of signature ‖
message. The header goes into HPKE's `info` and under the signature, so that a letter opens for nobody but the recipient
that its signer named, and under no other number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import Field

from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.messages import MAXIMUM_MESSAGE_BYTES, Message, parse_message
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError
from policies.statements.digests import digest, frame
from policies.statements.schema import Digest, PartyId, StrictModel, parse_model
from policies.statements.signed import sign, verify

MAXIMUM_ENVELOPE_BYTES = 2 * 1024 * 1024
_MAXIMUM_HEADER_BYTES = 1024
_LENGTH_BYTES = 2
_SIGNATURE_BYTES = 64
_DOMAIN = "envelope"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)

MessageNumber = Annotated[int, Field(ge=1, le=2**53 - 1)]


class EnvelopeHeader(StrictModel):
    """What the relay sees of a letter, beside its length and time."""

    version: Literal["cloister-envelope/1"]
    sender: PartyId
    recipient: PartyId
    number: MessageNumber


@dataclass(frozen=True)
class Opened:
    """A letter that opened: who certainly wrote it, its number (for `check_number`), the message and its digest."""

    sender: IdentityCard
    number: int
    message: Message
    digest: Digest


def seal(sender: Identity, recipient: IdentityCard, number: int, message: Message) -> bytes:
    """Sign `message` as number `number` from `sender` to `recipient`, and seal it to the recipient alone.

    Raises:
        InvalidInputError: the message has more than `MAXIMUM_MESSAGE_BYTES`.
    """
    payload = message.canonical()
    if len(payload) > MAXIMUM_MESSAGE_BYTES:
        raise InvalidInputError(
            f"This {message.type} has {len(payload)} bytes; a message holds {MAXIMUM_MESSAGE_BYTES} at most."
        )
    header = EnvelopeHeader(
        version="cloister-envelope/1", sender=sender.party, recipient=recipient.party, number=number
    ).canonical()
    signature = sign(sender.signing, _DOMAIN, header, payload)
    sealing_key = X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.sealing_key))
    sealed = _SUITE.encrypt(signature + payload, sealing_key, info=frame(_DOMAIN, header))
    return len(header).to_bytes(_LENGTH_BYTES, "big") + header + sealed


def read_header(data: bytes) -> EnvelopeHeader:
    """Read the outside of an envelope; nothing in it is proved before `open_envelope` has run.

    Raises:
        InvalidInputError: this is no envelope, or one larger than `MAXIMUM_ENVELOPE_BYTES`.
    """
    return parse_model(
        EnvelopeHeader, _split(data)[0], maximum_bytes=_MAXIMUM_HEADER_BYTES, what="The envelope's header"
    )


def open_envelope(recipient: Identity, data: bytes, pinned: Callable[[PartyId], IdentityCard | None]) -> Opened:
    """Open a letter to `recipient` from a party that `pinned` knows. The caller checks its number before acting on it.

    Raises:
        InvalidInputError: this is no envelope, or it holds no message of this version.
        NotAuthenticError: it is for another party, from an unpinned one, or was changed on its way.
    """
    header_bytes, sealed = _split(data)
    header = read_header(data)
    if header.recipient != recipient.party:
        raise NotAuthenticError(
            "This letter is addressed to another party; the relay delivered it to the wrong mailbox."
        )
    sender = pinned(header.sender)
    if sender is None or sender.party != header.sender:
        raise NotAuthenticError(f"This letter names {header.sender[:16]}… as its sender, whom nobody has pinned here.")
    try:
        content = _SUITE.decrypt(sealed, recipient.sealing, info=frame(_DOMAIN, header_bytes))
    except InvalidTag as error:
        raise NotAuthenticError(
            "This letter does not open: it was changed on its way, or sealed to other keys."
        ) from error
    signature, payload = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:]
    verify(bytes.fromhex(sender.signing_key), signature, _DOMAIN, header_bytes, payload, what="this letter")
    return Opened(sender, header.number, parse_message(payload), digest("letter", header_bytes, payload))


def check_number(last: int, got: int) -> int:
    """How many numbers are missing between the last one accepted (0 before the first) and the one just got.

    Raises:
        ConflictError: the number was used already: a replay, or mail out of order.
    """
    if got <= last:
        raise ConflictError(f"Message number {got} came after number {last}: a replay or out of order; it was ignored.")
    return got - last - 1


def _split(data: bytes) -> tuple[bytes, bytes]:
    if len(data) > MAXIMUM_ENVELOPE_BYTES:
        raise InvalidInputError(f"This envelope has {len(data)} bytes; at most {MAXIMUM_ENVELOPE_BYTES} are accepted.")
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if len(data) <= end:
        raise InvalidInputError("This is no envelope: it ends before its header does; it was cut off on its way.")
    return data[_LENGTH_BYTES:end], data[end:]
