"""A snapshot dealt out to the machines of a site that train on it together: every unit goes to exactly one, by lot.

Lots are drawn for each unit on its own. So one unit more leaves every other where it is: what it moves on one machine
is all that it moves, as the proof of `datasites.training.clipping` needs it. Nobody keeps what was drawn: a study whose
trainers start again is dealt out again, and no two lists of shards can be mixed up.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.capacity import capacity
from datasites.catalog.external_sort import read_exactly, write_all
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, layout_in
from datasites.protocol.private_files import nameless_file
from policies.errors import UnavailableError

_BYTES_AT_A_TIME = 2**23
_LOTS_AT_A_TIME = 2**20
_LOT = np.dtype("<u4")


@dataclass(frozen=True, eq=False, repr=False)
class Dealt:
    """Which of `machines` has each unit of a snapshot of `layout`: uint8 [units]."""

    layout: SnapshotLayout
    machines: int
    owners: NDArray[np.uint8]

    def shard(self, machine: int) -> SnapshotLayout:
        """How one machine's file is laid out."""
        mine, training = self.owners == machine, self.layout.training_units
        own = {"training_units": int(mine[:training].sum()), "holdout_units": int(mine[training:].sum())}
        return self.layout.model_copy(update=own)

    def rows(self, descriptor: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each machine's rows in their order, some at a time: (machine, uint8 [rows, bytes of a unit]).

        Args:
            descriptor: of the snapshot, which is read once from first to last.
        """
        width = self.layout.unit_type.itemsize
        step = max(1, _BYTES_AT_A_TIME // width)
        for start in range(0, len(self.owners), step):
            whose = self.owners[start : start + step]
            rows = np.empty((len(whose), width), np.uint8)
            read_exactly(descriptor, rows.reshape(-1).data, HEADER_BYTES + start * width)
            for machine in range(self.machines):
                yield machine, rows[whose == machine]


def deal(layout: SnapshotLayout, machines: int) -> Dealt:
    """Draw a machine for each unit, by lots that the operating system draws."""
    owners = np.empty(layout.units, np.uint8)
    for start in range(0, len(owners), _LOTS_AT_A_TIME):
        some = owners[start : start + _LOTS_AT_A_TIME]
        some[:] = np.frombuffer(os.urandom(len(some) * _LOT.itemsize), _LOT) % machines
    return Dealt(layout, machines, owners)


def public_bytes(shard: SnapshotLayout, training_units: int, holdout_units: int) -> int:
    """How long a shard is made on its way: for as many units as one has room for, so that its length does not tell.

    Args:
        training_units, holdout_units: the public numbers of units of each machine.
    """
    places = capacity(training_units, 1.0) + capacity(holdout_units, 1.0)
    return HEADER_BYTES + max(places, shard.units) * shard.unit_type.itemsize


@contextmanager
def shard_file(folder: Path, size: int) -> Iterator[tuple[int, int]]:
    """A new file without a name, which ends with the last process that holds it, and whose room on the disk is taken: a
    descriptor to write it by `write_shard`, and another that can only read.

    Args:
        size: how long it is made; `cut_shard` takes away what is not needed.

    Raises:
        UnavailableError: there can be none in `folder`, or the disk has no room for it.
    """
    try:
        writer = nameless_file(folder)
    except OSError as error:
        raise UnavailableError(
            f"No file without a name can be made for a part of the data ({error.strerror})."
        ) from error
    try:
        try:
            os.posix_fallocate(writer, 0, size)
        except OSError as error:
            raise UnavailableError(
                f"The disk has no room for a part of the data, of {size} bytes; make room."
            ) from error
        reader = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield writer, reader
        finally:
            os.close(reader)
    finally:
        os.close(writer)


def write_shard(descriptor: int, content: NDArray[np.uint8]) -> None:
    """Write the next bytes of a shard.

    Raises:
        UnavailableError: the disk did not take them.
    """
    try:
        write_all(descriptor, np.ascontiguousarray(content))
    except OSError as error:
        raise UnavailableError(f"The disk did not take a part of the data ({error.strerror}).") from error


def fill_shard(descriptor: int, size: int) -> None:
    """Write what a shard lacks of `size` bytes, as slowly as if there were people.

    Raises:
        UnavailableError: the disk did not take it.
    """
    zeros = np.zeros(_BYTES_AT_A_TIME, np.uint8)
    for left in range(size - os.lseek(descriptor, 0, os.SEEK_CUR), 0, -zeros.size):
        write_shard(descriptor, zeros[:left])


def shard_pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a shard."""
    for start in range(0, size, _BYTES_AT_A_TIME):
        yield os.pread(descriptor, min(_BYTES_AT_A_TIME, size - start), start)


def cut_shard(descriptor: int) -> None:
    """Cut off what a shard was filled up with: its header says how long it is itself.

    Raises:
        InvalidInputError: it does not begin with such a header.
    """
    os.ftruncate(descriptor, layout_in(os.pread(descriptor, HEADER_BYTES, 0)).file_bytes)
