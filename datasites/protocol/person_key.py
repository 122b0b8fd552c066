"""A person's decision key: kept under a passphrase, in a folder of their own that the service cannot read."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from datasites.protocol.identity import IdentityCard
from datasites.protocol.private_files import make_private_folder, read_private_file, write_private_file
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError

_KEY_FILE = "key.pem"
_MAXIMUM_KEY_FILE_BYTES = 4096
_SALT_BYTES = 16
_SALT_LABEL = b"scrypt-salt: "
_SHORTEST_PASSPHRASE = 8


def create_person_key(folder: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """Make a person's decision key in `folder`, apart from the service's.

    The file is `key.pem`: PKCS8 encrypted under scrypt(passphrase), as PKCS8's own derivation is quick to guess at.

    Raises:
        ConflictError: there is a key already.
        InvalidInputError: the passphrase is shorter than 8 bytes.
        RefusedError: other accounts may look into the folder.
    """
    if len(passphrase) < _SHORTEST_PASSPHRASE:
        raise InvalidInputError(
            f"The passphrase has fewer than {_SHORTEST_PASSPHRASE} characters; choose a longer one."
        )
    make_private_folder(folder)
    path = folder / _KEY_FILE
    if path.exists():
        raise ConflictError(f"{path} exists already; nothing was overwritten.")
    key, salt = Ed25519PrivateKey.generate(), secrets.token_bytes(_SALT_BYTES)
    encryption = BestAvailableEncryption(_stretch(passphrase, salt))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_private_file(path, _SALT_LABEL + salt.hex().encode() + b"\n" + pem)
    return key


def own_person_key(folder: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """The decision key in `folder`, which is made if there is none.

    Raises:
        CloisterError: as `create_person_key` and `load_person_key` do.
    """
    if (folder / _KEY_FILE).exists():
        return load_person_key(folder, passphrase)
    return create_person_key(folder, passphrase)


def load_person_key(folder: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """Open a person's decision key.

    Raises:
        InvalidInputError: the file is missing or damaged.
        NotAuthenticError: the passphrase is wrong.
        RefusedError: the file is open to other accounts.
    """
    path = folder / _KEY_FILE
    first_line, _, pem = read_private_file(path, maximum_bytes=_MAXIMUM_KEY_FILE_BYTES).partition(b"\n")
    try:
        salt = bytes.fromhex(first_line.removeprefix(_SALT_LABEL).decode())
    except ValueError as error:
        raise InvalidInputError(f"{path} is damaged; restore it from its backup.") from error
    try:
        key = load_pem_private_key(pem, password=_stretch(passphrase, salt))
    except (ValueError, TypeError) as error:
        raise NotAuthenticError(f"The passphrase does not open {path}; try again.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInputError(f"{path} holds no Ed25519 key; restore it from its backup.")
    return key


def require_owner_key(key: Ed25519PrivateKey, card: IdentityCard) -> None:
    """Check that `key` is the owner's: the decision key on the datasite's card.

    Raises:
        NotAuthenticError: it is another.
    """
    if key.public_key().public_bytes_raw().hex() != card.owner_key:
        raise NotAuthenticError("This key is not the decision key on the datasite's card; this takes the owner's own.")


def _stretch(passphrase: bytes, salt: bytes) -> bytes:
    # 64 MiB and about a quarter of a second a guess (RFC 7914; above OWASP's least for interactive use).
    return Scrypt(salt=salt, length=32, n=2**16, r=8, p=1).derive(passphrase).hex().encode()
