"""Identities: a party's own keys on its disk, beside the card that shows their public halves to others."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from datasites.protocol.private_files import make_private_folder, read_private_file, write_private_file
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError
from policies.identity_card import MAXIMUM_CARD_BYTES, IdentityCard, Role, parse_card
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import party_of
from policies.statements.schema import PartyId
from policies.statements.signed import sign

__all__ = ["MAXIMUM_CARD_BYTES", "Identity", "IdentityCard", "Role", "parse_card", "party_of"]

_MAXIMUM_KEY_FILE_BYTES = 4096


@dataclass(frozen=True)
class Identity:
    """A party's private keys and its card; the service holds these, never the owner's decision key."""

    card: IdentityCard
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)
    log: Ed25519PrivateKey | None = field(repr=False)

    @classmethod
    def create(cls, folder: Path, name: str, role: Role, owner_key: bytes | None = None) -> "Identity":
        """Make fresh keys in `folder` (mode 0700; files 0600); `owner_key` is the data owner's raw public key.

        Raises:
            ConflictError: there is an identity already.
            RefusedError: other accounts may look into the folder.
            InvalidInputError: the name is not one line of at most 100 characters.
        """
        make_private_folder(folder)
        if (folder / "card.json").exists():
            raise ConflictError(f"{folder} holds an identity already; nothing was overwritten.")
        signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        log = Ed25519PrivateKey.generate() if role == "datasite" else None
        card = _sign_card(name, role, signing, sealing, log, owner_key)
        for stem, key in (("signing", signing), ("sealing", sealing), ("log", log)):
            if key is not None:
                write_private_file(folder / f"{stem}.pem", _pem(key))
        # The card is written last: keys without a card are a creation that was cut short, and are written anew.
        write_private_file(folder / "card.json", card.canonical())
        return cls(card, signing, sealing, log)

    @classmethod
    def load(cls, folder: Path) -> "Identity":
        """Read the keys that `create` wrote.

        Raises:
            InvalidInputError: a file is missing or damaged.
            RefusedError: a file is open to other accounts.
            NotAuthenticError: the card is not by these keys.
        """
        card = parse_card(read_private_file(folder / "card.json", maximum_bytes=MAXIMUM_CARD_BYTES))
        signing = _load_signing_key(folder / "signing.pem")
        sealing = _load_key(folder / "sealing.pem")
        log = None if card.log_key is None else _load_signing_key(folder / "log.pem")
        if not isinstance(sealing, X25519PrivateKey):
            raise InvalidInputError(f"{folder / 'sealing.pem'} holds no X25519 key; restore it from its backup.")
        keys = (_public_hex(signing), _public_hex(sealing), None if log is None else _public_hex(log))
        if keys != (card.signing_key, card.sealing_key, card.log_key):
            raise NotAuthenticError(f"The card in {folder} is not of the keys beside it; restore the folder.")
        return cls(card, signing, sealing, log)

    @property
    def party(self) -> PartyId:
        """This party's own identity."""
        return self.card.party

    @property
    def cosigning(self) -> Ed25519PrivateKey:
        """The private half of the card's `cosigning_key`."""
        return self.log or self.signing

    @property
    def name(self) -> str:
        """What people call this party."""
        return self.card.name


def _sign_card(
    name: str,
    role: Role,
    signing: Ed25519PrivateKey,
    sealing: X25519PrivateKey,
    log: Ed25519PrivateKey | None,
    owner_key: bytes | None,
) -> IdentityCard:
    fields = {
        "version": "cloister-card/1",
        "name": name,
        "role": role,
        "signing_key": _public_hex(signing),
        "sealing_key": _public_hex(sealing),
        "log_key": None if log is None else _public_hex(log),
        "owner_key": None if owner_key is None else owner_key.hex(),
    }
    signature = sign(signing, "card", canonical_bytes(fields)).hex()
    return parse_card(canonical_bytes({**fields, "signature": signature}))


def _public_hex(key: Ed25519PrivateKey | X25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> PrivateKeyTypes:
    content = read_private_file(path, maximum_bytes=_MAXIMUM_KEY_FILE_BYTES)
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{path} is damaged; restore it from its backup.") from error


def _load_signing_key(path: Path) -> Ed25519PrivateKey:
    key = _load_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInputError(f"{path} holds no Ed25519 key; restore it from its backup.")
    return key
