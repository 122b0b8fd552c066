"""Files that only their owner's account may read: written durably, and refused when others could have read them."""

import os
import secrets
import stat
from pathlib import Path

from policies.errors import InvalidInputError, RefusedError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700, or accept it if it is already closed to other accounts.

    Raises:
        RefusedError: other accounts may look into it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_shared(folder.stat(), folder, "chmod 700")


def write_private_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` with mode 0600, whole or not at all, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # what was named, and not the temporary file
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_private_file(path: Path, *, maximum_bytes: int) -> bytes:
    """Read a file that only this account may read.

    Raises:
        InvalidInputError: it is missing, a link, or larger than `maximum_bytes`.
        RefusedError: other accounts may read or change it, or it belongs to another account.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be opened ({error.strerror}); restore it from its backup.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{path} is not a regular file; restore it from its backup.")
        _refuse_shared(status, path, "chmod 600")
        content = file.read(maximum_bytes + 1)
    if len(content) > maximum_bytes:
        raise InvalidInputError(f"{path} is larger than {maximum_bytes} bytes; restore it from its backup.")
    return content


def read_given_file(path: Path, *, maximum_bytes: int, what: str) -> bytes:
    """Read a file that somebody named, at most `maximum_bytes` and one more: parsers then say that it is too long.

    Raises:
        InvalidInputError: it cannot be read.
    """
    try:
        with path.expanduser().open("rb") as file:
            return file.read(maximum_bytes + 1)
    except OSError as error:
        raise InvalidInputError(f"{what} {path} cannot be read ({error.strerror}); name another file.") from error


def nameless_file(folder: Path) -> int:
    """The descriptor of a new file in `folder` that has no name and can be given none: it ends with its last holder.

    Raises:
        OSError: there can be none in `folder`, or its file system gives every file a name.
    """
    return os.open(folder, os.O_TMPFILE | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_shared(status: os.stat_result, path: Path, remedy: str) -> None:
    if status.st_uid != os.geteuid():
        raise RefusedError(f"{path} belongs to another account; run this command as its owner.")
    if status.st_mode & _OTHERS:
        raise RefusedError(
            f"{path} is open to other accounts (mode {stat.S_IMODE(status.st_mode):04o}); run {remedy} on it, "
            "and make new keys if anybody may have read it."
        )
