"""Cosignatures: a witness's dated signature on a checkpoint that it keeps, one more line of the checkpoint's note.

Source: c2sp.org/tlog-cosignature, `cosignature/v1` by Ed25519. What is signed begins with a line of its own, so it is
never the text of a checkpoint (whose second line is a number), nor a framed statement (which begins with a zero byte).
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import NotAuthenticError
from policies.identity_card import IdentityCard
from policies.log.checkpoint import NoteSignature, key_id, parse_checkpoint

_COSIGNATURE = b"\x04"
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class Cosigner:
    """A party whose cosignatures can be checked: what people call it, its raw 32-byte key, its card where known."""

    name: str
    key: bytes
    card: IdentityCard | None = None

    @classmethod
    def of(cls, card: IdentityCard) -> "Cosigner":
        """The party with this card."""
        return cls(card.name, card.cosigning_key, card)


def cosigner_name(party: str) -> str:
    """The name under which the party with this id cosigns."""
    return f"cloister.witness/{party}"


def cosign(private_key: Ed25519PrivateKey, party: str, note: bytes, at: int) -> bytes:
    """The note with one more line: `party` kept this checkpoint at `at` (seconds since 1970).

    Raises:
        InvalidInputError: the note is not a checkpoint.
    """
    checkpoint, _ = parse_checkpoint(note)
    name = cosigner_name(party)
    identifier = key_id(name, private_key.public_key().public_bytes_raw(), _COSIGNATURE)
    signature = private_key.sign(_signed_text(checkpoint.text(), at))
    encoded = base64.b64encode(identifier + at.to_bytes(_TIME_BYTES, "big") + signature).decode()
    return note + f"— {name} {encoded}\n".encode()


def cosigned_at(note: bytes, public_key: bytes) -> int | None:
    """When the holder of `public_key` (raw, 32 bytes) cosigned this checkpoint; None if no line is by that key.

    The line's name decides nothing: it is not signed, only the key is known.

    Raises:
        InvalidInputError: the note is not a checkpoint.
        NotAuthenticError: a line names this key, and its signature is on something else.
    """
    checkpoint, lines = parse_checkpoint(note)
    times = [_opened(line, checkpoint.text(), public_key) for line in lines if _names(line, public_key)]
    if len(times) > 1:
        raise NotAuthenticError(f"The checkpoint carries {len(times)} cosignatures by one key; it may carry one.")
    return times[0] if times else None


def date_of(at: int) -> str:
    """A witness's time for people, to the minute."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return f"second {at} since 1970"


def count_others(note: bytes, log_key: bytes) -> int:
    """How many lines of the note are not the log's own signature; none of them is believed.

    Raises:
        InvalidInputError: the note is not a checkpoint.
    """
    checkpoint, lines = parse_checkpoint(note)
    own = (checkpoint.origin, key_id(checkpoint.origin, log_key))
    return sum((line.name, line.key_id) != own for line in lines)


def checked_lines(note: bytes, log_key: bytes, public_key: bytes | None = None) -> bytes:
    """The note with the log's own signature, and the cosignature by `public_key` if one is asked for; no other line.

    Both were checked by others. Whoever handed the note on may have added any line in anybody's name.

    Raises:
        InvalidInputError: the note is not a checkpoint.
    """
    checkpoint, lines = parse_checkpoint(note)
    own = (checkpoint.origin, key_id(checkpoint.origin, log_key))
    kept = [
        (line.name, line.key_id, line.signature)
        for line in lines
        if (line.name, line.key_id) == own or (public_key is not None and _names(line, public_key))
    ]
    written = (f"— {name} {base64.b64encode(key + signature).decode()}\n" for name, key, signature in kept)
    return checkpoint.text() + b"\n" + "".join(written).encode()


def join_notes(notes: Iterable[bytes]) -> bytes:
    """Notes of one same checkpoint as one note with all their lines, each once."""
    texts, lines = set[bytes](), dict[bytes, None]()
    for note in notes:
        text, _, signatures = note.partition(b"\n\n")
        texts.add(text)
        lines.update(dict.fromkeys(signatures.splitlines(keepends=True)))
    if len(texts) != 1:
        raise ValueError(f"{len(texts)} checkpoints were given, and only notes of one can be joined")
    return texts.pop() + b"\n\n" + b"".join(lines)


def _signed_text(checkpoint: bytes, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n".encode() + checkpoint


def _names(line: NoteSignature, public_key: bytes) -> bool:
    return line.key_id == key_id(line.name, public_key, _COSIGNATURE)


def _opened(line: NoteSignature, checkpoint: bytes, public_key: bytes) -> int:
    at = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    signature = line.signature[_TIME_BYTES:]
    try:
        if len(signature) != _SIGNATURE_BYTES:
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _signed_text(checkpoint, at))
    except (InvalidSignature, ValueError) as error:
        raise NotAuthenticError("A cosignature on the checkpoint is not by the witness whose key it names.") from error
    return at
