"""A private file opened and read through once: what it holds is known by its digest, and a change afterwards shows."""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from policies.errors import InvalidInputError, NotAuthenticError

_BYTES_AT_A_TIME = 2**20


@dataclass(frozen=True)
class CheckedFile:
    """A file whose bytes had `sha256` when they were read through `descriptor`, read-only.

    If somebody changes it after the check, `require_unchanged` tells: every write and change of length moves the
    inode's change time, which no call sets back.
    """

    path: Path
    descriptor: int
    size: int
    sha256: bytes
    state: tuple[int, ...]

    def require_unchanged(self) -> None:
        """Compare the file with what was checked: size, and times of modification and change.

        Raises:
            NotAuthenticError: somebody changed it.
        """
        if file_state(os.fstat(self.descriptor)) != self.state:
            raise NotAuthenticError(f"The file {self.path} was changed after it was checked.")

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the descriptor."""
        self.close()


def check_file(path: Path) -> CheckedFile:
    """Open the regular file at `path` and read it through, a piece at a time: nothing of it is held or copied.

    Raises:
        InvalidInputError: it cannot be read, is no regular file, or changed meanwhile.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInputError(f"The file {path} cannot be read ({error.strerror}).") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{path} is not a regular file; name a file, or a folder of files.")
        file = CheckedFile(path, descriptor, status.st_size, digest_of(descriptor, status.st_size), file_state(status))
        if file_state(os.fstat(descriptor)) != file.state:
            raise InvalidInputError(f"The file {path} changed while it was read; let nobody write to it.")
    except BaseException:
        os.close(descriptor)
        raise
    return file


def digest_of(descriptor: int, size: int) -> bytes:
    """SHA-256 of the first `size` bytes behind `descriptor`, or of fewer if they end before."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    hasher, buffer, offset = sha256(), bytearray(_BYTES_AT_A_TIME), 0
    while offset < size and (got := os.preadv(descriptor, [buffer], offset)):
        hasher.update(memoryview(buffer)[: min(got, size - offset)])
        offset += got
    return hasher.digest()


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file's content does: its size and its times of modification and change."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
