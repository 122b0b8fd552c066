"""Signed checkpoints of the log: C2SP tlog-checkpoint inside a C2SP signed note, by Ed25519.

Sources: c2sp.org/tlog-checkpoint and c2sp.org/signed-note. Signed by the log key over the note's text as it stands.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import InvalidInputError, NotAuthenticError
from policies.log.merkle import HASH_BYTES, TreeHead

MAXIMUM_CHECKPOINT_BYTES = 64 * 1024
_MAXIMUM_SIGNATURES = 100
_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]{1,200}) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True)
class Checkpoint:
    """A tree head under the name of its log."""

    origin: str
    head: TreeHead

    def text(self) -> bytes:
        """The signed part of the note: three lines."""
        return f"{self.origin}\n{self.head.size}\n{base64.b64encode(self.head.root).decode()}\n".encode()


@dataclass(frozen=True)
class NoteSignature:
    """One signature line of a note: whose it claims to be, the key's short id, the signature itself."""

    name: str
    key_id: bytes
    signature: bytes


def log_origin(site: str) -> str:
    """The name of the log of the site with this party id; its key carries the same name."""
    return f"cloister.log/{site}"


def key_id(name: str, public_key: bytes, signature_type: bytes = _ED25519) -> bytes:
    """The four bytes by which a note names an Ed25519 key, for signatures of one type (c2sp.org/signed-note)."""
    return sha256(name.encode() + b"\n" + signature_type + public_key).digest()[:_KEY_ID_BYTES]


def sign_checkpoint(private_key: Ed25519PrivateKey, checkpoint: Checkpoint) -> bytes:
    """The note: the checkpoint's text and the log key's signature over it."""
    text = checkpoint.text()
    identifier = key_id(checkpoint.origin, private_key.public_key().public_bytes_raw())
    encoded = base64.b64encode(identifier + private_key.sign(text)).decode()
    return text + f"\n— {checkpoint.origin} {encoded}\n".encode()


def parse_checkpoint(note: bytes) -> tuple[Checkpoint, tuple[NoteSignature, ...]]:
    """Parse a note strictly, believing no signature yet. Extension lines are not accepted.

    Raises:
        InvalidInputError: the note is not a checkpoint in its one exact spelling.
    """
    if len(note) > MAXIMUM_CHECKPOINT_BYTES:
        raise InvalidInputError(
            f"The checkpoint has {len(note)} bytes; at most {MAXIMUM_CHECKPOINT_BYTES} are accepted."
        )
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("The checkpoint is not UTF-8 text.") from error
    lines = text.split("\n")
    if len(lines) < 6 or lines[-1] or lines[3]:
        raise InvalidInputError(
            "The checkpoint is not three lines, a blank one and signatures, each ended by a newline."
        )
    origin, size, root, signatures = lines[0], lines[1], lines[2], lines[4:-1]
    if not re.fullmatch(r"[^\s+]{1,200}", origin) or not _SIZE.fullmatch(size):
        raise InvalidInputError("The checkpoint's first two lines are not an origin and a size.")
    if len(signatures) > _MAXIMUM_SIGNATURES:
        raise InvalidInputError(f"The checkpoint has more than {_MAXIMUM_SIGNATURES} signatures.")
    head = TreeHead(int(size), _decode(root))
    if len(head.root) != HASH_BYTES:
        raise InvalidInputError(f"The checkpoint's root has {len(head.root)} bytes; it should have {HASH_BYTES}.")
    return Checkpoint(origin, head), tuple(_parse_signature(line) for line in signatures)


def open_checkpoint(note: bytes, origin: str, log_key: bytes) -> Checkpoint:
    """Parse `note` and believe it only under the log key (raw 32 bytes) of the log named `origin`.

    Raises:
        InvalidInputError: the note is not a checkpoint.
        NotAuthenticError: it is of another log, or that key did not sign it.
    """
    checkpoint, signatures = parse_checkpoint(note)
    if checkpoint.origin != origin:
        raise NotAuthenticError("The checkpoint is of another log than the one expected.")
    expected = (origin, key_id(origin, log_key))
    mine = [line.signature for line in signatures if (line.name, line.key_id) == expected]
    if len(mine) != 1:
        raise NotAuthenticError(f"The checkpoint carries {len(mine)} signatures by the log's key; it must carry one.")
    try:
        Ed25519PublicKey.from_public_bytes(log_key).verify(mine[0], checkpoint.text())
    except (InvalidSignature, ValueError) as error:
        raise NotAuthenticError("The signature on the checkpoint is not by the log's key.") from error
    return checkpoint


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise InvalidInputError("A signature line of the checkpoint is not a dash, a name and base64.")
    raw = _decode(match[2])
    if len(raw) < _KEY_ID_BYTES + _SIGNATURE_BYTES:
        raise InvalidInputError("A signature on the checkpoint is too short.")
    return NoteSignature(match[1], raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def _decode(text: str) -> bytes:
    """Decode base64 that is spelled the one standard way."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError("The checkpoint holds text that is not base64.") from error
    if base64.b64encode(raw).decode() != text:
        raise InvalidInputError("The checkpoint holds base64 that is not in its standard spelling.")
    return raw
