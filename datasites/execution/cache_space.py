"""Room on the datasite's disk for what a trainer computes once: a file without a name, which ends with the trainer."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasites.execution.trainer_messages import MAXIMUM_CACHE_BYTES
from datasites.protocol.private_files import nameless_file
from policies.errors import UnavailableError


def room_for_cache(folder: Path) -> int:
    """How many bytes a trainer's cache may take in `folder`: half of what is free, 0 where files need names."""
    try:
        os.close(nameless_file(folder))
    except OSError:
        return 0
    return min(MAXIMUM_CACHE_BYTES, shutil.disk_usage(folder).free // 2)


@contextmanager
def cache_file(folder: Path, size: int) -> Iterator[int | None]:
    """The descriptor of a new file of `size` bytes, whose room on the disk is taken; None for no bytes.

    It has no name and can be given none, so that it is gone when the last process that holds it ends. It is written
    by the trainer alone, which is handed it and keeps to itself the keys of what it writes.

    Raises:
        UnavailableError: the disk has no room for it.
    """
    if not size:
        yield None
        return
    try:
        descriptor = nameless_file(folder)
    except OSError as error:
        raise _no_room(size) from error
    try:
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            raise _no_room(size) from error
        yield descriptor
    finally:
        os.close(descriptor)


def _no_room(size: int) -> UnavailableError:
    return UnavailableError(f"The disk has no room for a study's cache of {size} bytes; make room.")
