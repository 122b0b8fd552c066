"""The header of a safetensors file, read strictly: where each tensor lies, and nothing in the file beside them."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError

_LONGEST_HEADER = 1 << 20
_MOST_TENSORS, _MOST_DIMENSIONS = 10_000, 16
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: its type as the file names it, its shape, and where its bytes start."""

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def read(self, path: Path, first: int, count: int) -> NDArray[np.float64]:
        """`count` of its numbers from the `first` on, flat."""
        dtype = np.dtype(_TYPES[self.kind])
        with path.open("rb") as file:
            file.seek(self.start + first * dtype.itemsize)
            stored = np.fromfile(file, dtype, count)
        if self.kind == "BF16":
            stored = (stored.astype("<u4") << 16).view("<f4")
        return stored.astype(np.float64)


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a file, in the order of their bytes, and the words beside them."""

    tensors: tuple[Tensor, ...]
    metadata: tuple[str, ...]


def read_tensor_file(path: Path) -> TensorFile:
    """Read the header: tensors that follow each other without gap or overlap to the end of the file.

    Raises:
        InvalidInputError: it is anything else.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise InvalidInputError("The file has no safetensors header.")
        try:
            header = json.loads(file.read(length).decode(), object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError("The safetensors header is no JSON.") from error
    return _checked(header, 8 + length, size)


def _checked(header: Any, start: int, size: int) -> TensorFile:
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise InvalidInputError("The safetensors header is no table of tensors.")
    if len(header) > _MOST_TENSORS:
        raise InvalidInputError(f"The safetensors file has {len(header)} tensors; at most {_MOST_TENSORS} are read.")
    tensors = sorted((_tensor(name, entry, start) for name, entry in header.items()), key=lambda pair: pair[0].start)
    place = start
    for tensor, end in tensors:
        if tensor.start != place or end < place:
            raise InvalidInputError("The tensors do not follow each other.")
        place = end
    if place != size:
        raise InvalidInputError("The tensors do not fill the file.")
    return TensorFile(tuple(tensor for tensor, _ in tensors), (*metadata, *metadata.values()))


def _tensor(name: str, entry: Any, start: int) -> tuple[Tensor, int]:
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(first), int(end)], **more} if (
            not more and kind in _TYPES and len(shape) <= _MOST_DIMENSIONS and 0 <= first <= end
        ):
            if all(isinstance(length, int) and 0 <= length < 2**40 for length in shape):
                tensor = Tensor(name, kind, tuple(shape), start + first)
                if end - first == tensor.size * np.dtype(_TYPES[kind]).itemsize:
                    return tensor, start + end
    raise InvalidInputError("A tensor's entry in the header is wrong.")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands there twice")
    return result
