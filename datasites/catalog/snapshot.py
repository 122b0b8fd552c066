"""The snapshot file: a data set's arrays, written once, named and checked by a keyed commitment to its bytes."""

import os
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load, save

from datasites.catalog.arrays import MAXIMUM_SNAPSHOT_BYTES, Snapshot, UnitArrays, build_snapshot
from datasites.catalog.csv_reader import Table
from datasites.catalog.keys import CatalogKeys
from policies.errors import NotAuthenticError
from policies.manifest import Manifest
from policies.statements.digests import keyed_commitment

_LARGEST_HEADER = 2**20


def write_snapshot(folder: Path, table: Table, manifest: Manifest, keys: CatalogKeys) -> tuple[str, Path]:
    """Freeze `table` into `folder` (made with mode 0700) and return the keyed commitment and the file, mode 0400.

    The file appears whole and durable, or not at all; freezing the same table again gives the same commitment.

    Raises:
        InvalidInputError: see `build_snapshot`.
    """
    content = _encode(build_snapshot(table, manifest, keys))
    commitment = _commitment(content, keys.commitment)
    path = folder / f"{commitment}.safetensors"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="unfinished-", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o400)
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(folder)
    return commitment, path


def load_snapshot(path: Path, commitment: str, key: bytes) -> Snapshot:
    """Read a snapshot into memory once, and check those very bytes against `commitment` before any is parsed.

    Args:
        path: the file that `write_snapshot` returned.
        commitment: the commitment that was approved.
        key: the commitment key (`CatalogKeys.commitment`).

    Raises:
        NotAuthenticError: the file is missing, or is not the one that was committed to.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, MAXIMUM_SNAPSHOT_BYTES + _LARGEST_HEADER))
    except OSError as error:
        raise NotAuthenticError(f"The snapshot {path} cannot be read ({error.strerror}); restore it.") from error
    if _commitment(content, key) != commitment:
        raise NotAuthenticError(f"The snapshot {path} is not the one that was committed to; restore it.")
    return _decode(content)


def _commitment(content: bytes, key: bytes) -> str:
    # HMAC over the content's hash, not the content: framing copies its parts, and these have gigabytes.
    return keyed_commitment(key, "snapshot", sha256(content).digest())


def _encode(snapshot: Snapshot) -> bytes:
    sides = {"training": snapshot.training, "holdout": snapshot.holdout}
    tensors: dict[str, NDArray[np.generic]] = {
        "manifest": np.frombuffer(bytes.fromhex(snapshot.manifest_digest), np.uint8)
    }
    for name, arrays in sides.items():
        tensors |= {
            f"{name}.features": arrays.features,
            f"{name}.target": arrays.target,
            f"{name}.mask": arrays.mask,
        }
    return save(tensors)


def _decode(content: bytes) -> Snapshot:
    try:
        tensors = load(content)
        sides = [
            UnitArrays(tensors[f"{side}.features"], tensors[f"{side}.target"], tensors[f"{side}.mask"])
            for side in ("training", "holdout")
        ]
        return Snapshot(tensors["manifest"].tobytes().hex(), *sides)
    except (safetensors.SafetensorError, KeyError) as error:
        raise NotAuthenticError("The snapshot was made by another version of this program; register again.") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
