"""A snapshot opened for a trainer: its bytes are checked on the very descriptor that is handed on, never held."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from datasites.catalog.checked_file import digest_of, file_state
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, parse_layout
from policies.errors import InvalidInputError, NotAuthenticError
from policies.statements.digests import keyed_commitment

_OTHERS_OR_WRITABLE = 0o377


def snapshot_commitment(digest: bytes, key: bytes) -> str:
    """The commitment to a snapshot whose bytes have this SHA-256: HMAC over the hash, not over gigabytes of content."""
    return keyed_commitment(key, "snapshot", digest)


@dataclass(frozen=True)
class CheckedSnapshot:
    """A snapshot whose bytes agreed with their commitment when they were read through `descriptor`, read-only.

    Only this account and root can change a file of mode 0400 in a folder of mode 0700. If one does so after the check,
    `require_unchanged` tells: every write and change of length moves the inode's change time, which no call sets back.
    """

    path: Path
    descriptor: int
    layout: SnapshotLayout
    state: tuple[int, ...]

    def require_unchanged(self) -> None:
        """Compare the file with what was checked: size, and times of modification and change.

        Raises:
            NotAuthenticError: somebody changed it.
        """
        if file_state(os.fstat(self.descriptor)) != self.state:
            raise NotAuthenticError(f"The snapshot {self.path} was changed after it was checked; restore it.")

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


def open_snapshot(path: Path, commitment: str, key: bytes) -> CheckedSnapshot:
    """Open a snapshot and check its bytes against `commitment`, a piece at a time, before any is parsed.

    Args:
        path: the file that `write_snapshot` returned.
        commitment: the commitment that was approved.
        key: the commitment key (`CatalogKeys.commitment`).

    Raises:
        NotAuthenticError: the file is missing, is not the one that was committed to, or others can change it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotAuthenticError(f"The snapshot {path} cannot be read ({error.strerror}); restore it.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS_OR_WRITABLE:
            raise NotAuthenticError(f"The snapshot {path} is not a file of mode 0400 of this account; restore it.")
        if snapshot_commitment(digest_of(descriptor, status.st_size), key) != commitment:
            raise NotAuthenticError(f"The snapshot {path} is not the one that was committed to; restore it.")
        layout = _layout(descriptor, status.st_size)
        # For whoever reads single units from it: what stands around them need not be fetched.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        snapshot = CheckedSnapshot(path, descriptor, layout, file_state(status))
        snapshot.require_unchanged()
    except BaseException:
        os.close(descriptor)
        raise
    return snapshot


def _layout(descriptor: int, size: int) -> SnapshotLayout:
    try:
        return parse_layout(os.pread(descriptor, HEADER_BYTES, 0), size)
    except InvalidInputError as error:
        raise NotAuthenticError("The snapshot was made by another version of this program; register again.") from error
