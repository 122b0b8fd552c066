"""Parameter files: the strict reading of a program's initial parameters and constants, without torch."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from policies.errors import InvalidInputError
from policies.programs.format import DType, Input, Program

_deserialize: Callable[[bytes], Iterable[tuple[str, Mapping[str, object]]]] = deserialize
_FILE_TYPES: Mapping[DType, tuple[str, str]] = {
    "float32": ("F32", "<f4"),
    "int64": ("I64", "<i8"),
    "bool": ("BOOL", "|b1"),
}


def read_parameters(data: bytes, program: Program, *, maximum_bytes: int) -> dict[str, NDArray[np.generic]]:
    """Read the program's parameters and constants from untrusted safetensors: exactly those, in shape, type, finite.

    Returns an array under each input's name: the trained ones float32 with their shape, and the constants.

    Raises:
        InvalidInputError: naming the tensor that is wrong and what was expected.
    """
    if len(data) > maximum_bytes:
        raise InvalidInputError(f"The parameter file has {len(data)} bytes; at most {maximum_bytes} are accepted.")
    try:
        stored = dict(_deserialize(data))
    except SafetensorError as error:
        raise InvalidInputError("The parameter file is not valid safetensors; export the plan again.") from error
    expected = {entry.name: entry for entry in (*program.parameters, *program.constants)}
    if stored.keys() != expected.keys():
        missing, extra = expected.keys() - stored.keys(), stored.keys() - expected.keys()
        raise InvalidInputError(
            f"The parameter file lacks {len(missing)} tensors of the program and has {len(extra)} others; "
            "it must have exactly the program's parameters and constants."
        )
    return {name: _array(entry, stored[name]) for name, entry in expected.items()}


def _array(entry: Input, stored: Mapping[str, object]) -> NDArray[np.generic]:
    file_type, array_type = _FILE_TYPES[entry.dtype]
    raw, dtype = stored["data"], np.dtype(array_type)
    if (
        stored["dtype"] != file_type
        or stored["shape"] != list(entry.shape)
        or not isinstance(raw, bytes | bytearray)
        or len(raw) != entry.size * dtype.itemsize
    ):
        raise InvalidInputError(
            f"The tensor {entry.name!r} in the parameter file must be {entry.dtype} of shape {list(entry.shape)}."
        )
    if entry.dtype == "bool" and raw.strip(b"\0\1"):
        raise InvalidInputError(f"The boolean tensor {entry.name!r} has bytes other than 0 and 1; export again.")
    value: NDArray[np.generic] = np.frombuffer(bytearray(raw), dtype=dtype).reshape(entry.shape)
    if entry.dtype == "float32" and not np.isfinite(value.astype(np.float32, copy=False)).all():
        raise InvalidInputError(f"The tensor {entry.name!r} has values that are not finite; mend the initial model.")
    return value
