"""A snapshot cut into shards, one for each machine of a site that trains on it: every unit is in exactly one.

    python -m datasites.catalog.shards SNAPSHOT COUNT FOLDER

writes `0.snapshot`, `1.snapshot` … and `shards.json`, the list of their digests. Each machine needs its shard and the
list. Two workers with the same units would let a person count twice: so a worker takes no file but the list's own.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasites.catalog.checked_file import CheckedFile, check_file
from datasites.catalog.external_sort import read_exactly, write_all
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, parse_layout
from datasites.protocol.private_files import make_private_folder, read_private_file, write_private_file
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError
from policies.statements.schema import Digest, StrictModel, parse_model

MOST_SHARDS = 64
SHARDS_FILE = "shards.json"
_MAXIMUM_BYTES = 2**16
_BYTES_AT_A_TIME = 2**23


class Shards(StrictModel):
    """SHA-256 of each shard of one snapshot, in the order of the workers; stays at the site, as the shards do."""

    version: Literal["cloister-shards/1"] = "cloister-shards/1"
    snapshot: Digest
    shards: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MOST_SHARDS)]


def write_shards(snapshot: Path, count: int, folder: Path) -> Shards:
    """Cut the file `snapshot` into `count` shards in the private `folder`, each with a part of both sides of the split.

    Units stand in keyed order, so parts are as good as drawn by lot.

    Raises:
        InvalidInputError: it is no snapshot, or `count` is not between 1 and 64.
    """
    if not 1 <= count <= MOST_SHARDS:
        raise InvalidInputError(f"A snapshot is cut into 1 to {MOST_SHARDS} shards, not {count}.")
    make_private_folder(folder)
    with check_file(snapshot) as file:
        layout = parse_layout(os.pread(file.descriptor, HEADER_BYTES, 0), file.size)
        digests = [_write_shard(file, layout, rank, count, folder / f"{rank}.snapshot") for rank in range(count)]
        file.require_unchanged()
        shards = Shards(snapshot=file.sha256.hex(), shards=tuple(digests))
    write_private_file(folder / SHARDS_FILE, shards.canonical())
    return shards


def open_shard(folder: Path, rank: int) -> tuple[CheckedFile, Shards]:
    """Open shard `rank` in `folder`, whose bytes are those that the list there names; the caller closes it.

    Raises:
        InvalidInputError: one of the files cannot be read.
        NotAuthenticError: the list has no such shard, or the file is another one.
    """
    content = read_private_file(folder / SHARDS_FILE, maximum_bytes=_MAXIMUM_BYTES)
    shards = parse_model(Shards, content, maximum_bytes=_MAXIMUM_BYTES, what="The list of shards")
    file = check_file(folder / f"{rank}.snapshot")
    if rank >= len(shards.shards) or file.sha256.hex() != shards.shards[rank]:
        file.close()
        raise NotAuthenticError(f"{file.path} is not shard {rank} of the list beside it; copy it again.")
    return file, shards


def _write_shard(file: CheckedFile, layout: SnapshotLayout, rank: int, count: int, path: Path) -> str:
    training = _part(0, layout.training_units, rank, count)
    holdout = _part(layout.training_units, layout.holdout_units, rank, count)
    own = layout.model_copy(update={"training_units": len(training), "holdout_units": len(holdout)})
    hasher, descriptor = sha256(), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    try:
        for piece in _pieces(file.descriptor, own, (training, holdout)):
            write_all(descriptor, piece)
            hasher.update(piece.data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return hasher.hexdigest()


def _part(first: int, units: int, rank: int, count: int) -> range:
    """The places of the units of one side, which begins at `first`, that are in shard `rank`."""
    return range(first + units * rank // count, first + units * (rank + 1) // count)


def _pieces(descriptor: int, own: SnapshotLayout, parts: Iterable[range]) -> Iterator[NDArray[np.uint8]]:
    """A shard's bytes from first to last, some at a time."""
    yield np.frombuffer(own.header(), np.uint8)
    width = own.unit_type.itemsize
    step = max(1, _BYTES_AT_A_TIME // width)
    for part in parts:
        for start in range(part.start, part.stop, step):
            rows = np.empty(width * min(step, part.stop - start), np.uint8)
            read_exactly(descriptor, rows.data, HEADER_BYTES + start * width)
            yield rows


if __name__ == "__main__":
    try:
        write_shards(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    except (CloisterError, OSError, IndexError, ValueError) as error:
        sys.exit(f"{error}\nUsage: python -m datasites.catalog.shards SNAPSHOT COUNT FOLDER")
