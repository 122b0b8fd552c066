"""The process that decodes a Parquet file: locked down, for a file can be made to crash a decoder or fill the memory.

It knows neither manifest nor key, but how many rows to read at a time. It has the file as its input, and its output is
a pipe to the datasite.
"""

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from safetensors.numpy import save

from datasites.catalog.parquet_messages import Decoded, FileColumn, Kind
from datasites.sandbox.frames import Frame, write_frame
from datasites.sandbox.lockdown import lock_down
from policies.errors import RefusedError
from policies.statements.schema import StrictModel

_INPUT = 0
_PAGE_BUFFER = 2**16
_MOST_COLUMNS, _LONGEST_NAME = 2000, 1000


def _array(kind: Any, length: int, *contents: bytes) -> Any:
    """An array of `length` places, all but the first null.

    Where Arrow makes one of Python's values, or gives one as NumPy's by `to_numpy`, it imports pandas: to see whether
    it is concerned. That would double the time that a start takes.
    """
    return pa.Array.from_buffers(kind, length, [pa.py_buffer(content) for content in (b"\1", *contents)])


_ZEROS = {kind: _array(kind, 1, bytes(8))[0] for kind in (pa.int64(), pa.float64())}
_NO_TEXT = _array(pa.int32(), 1, b"\xff" * 4)[0]


def main(memory_bytes: int, rows: int) -> None:
    """Decode the file that is this process's input, so many rows at a time; write frames of `Decoded` to its output."""
    output = os.dup(1)
    os.dup2(2, 1)

    def say(message: StrictModel, body: bytes = b"") -> None:
        write_frame(output, Frame(message.canonical(), body))

    _rehearse()
    try:
        lock_down(memory_bytes)
    except RefusedError:
        say(Decoded(end="lockdown"))
        return
    with os.fdopen(_INPUT, "rb", buffering=0) as file:
        say(_decode_safely(file, say, rows))


def _decode_safely(file: Any, say: Callable[..., object], rows: int) -> Decoded:
    try:
        return _decode(file, say, rows)
    except (MemoryError, pa.ArrowMemoryError):
        return Decoded(end="memory")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError):
        return Decoded(end="damaged")


def _decode(file: Any, say: Callable[..., object], rows: int) -> Decoded:
    table = parquet.ParquetFile(file, memory_map=False, buffer_size=_PAGE_BUFFER, pre_buffer=False)
    schema = table.schema_arrow
    if len(schema) > _MOST_COLUMNS or any(len(name) > _LONGEST_NAME for name in schema.names):
        return Decoded(end="columns")
    kinds = [_kind(field.type) for field in schema]
    columns = tuple(FileColumn(name=name, kind=kind) for name, kind in zip(schema.names, kinds, strict=True))
    say(Decoded(columns=columns))
    if set(kinds) <= {"text", "whole", "floating"}:
        for batch in table.iter_batches(batch_size=rows, use_threads=False):
            if batch.num_rows:
                batch.validate(full=True)
                say(Decoded(rows=batch.num_rows), save(dict(_arrays(batch, kinds))))
    return Decoded(end="complete")


def _kind(kind: Any) -> Kind:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return "extension"
    if types.is_dictionary(kind):
        return "dictionary"
    if types.is_nested(kind):
        return "nested"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_integer(kind) and not types.is_uint64(kind):
        return "whole"
    return "floating" if types.is_floating(kind) else "unknown"


def _arrays(batch: Any, kinds: list[Kind]) -> Iterator[tuple[str, NDArray[Any]]]:
    for place, (column, kind) in enumerate(zip(batch.columns, kinds, strict=True)):
        nulls = np.from_dlpack(column.is_null().cast(pa.uint8())).view(np.bool_)
        if kind != "text":
            cast = column.cast(pa.int64() if kind == "whole" else pa.float64())
            yield str(place), np.ascontiguousarray(np.from_dlpack(cast.fill_null(_ZEROS[cast.type])))
            yield f"{place}.null", np.ascontiguousarray(nulls)
        else:
            encoded = column.cast(pa.large_string()).dictionary_encode()
            texts = [text.encode() for text in encoded.dictionary.to_pylist()]
            yield str(place), np.where(nulls, -1, np.from_dlpack(encoded.indices.fill_null(_NO_TEXT))).astype(np.int32)
            yield f"{place}.text", np.frombuffer(b"".join(texts), np.uint8)
            yield f"{place}.ends", np.cumsum([len(text) for text in texts], dtype=np.int64)


def _rehearse() -> None:
    """Decode a small file and a damaged one, so that all that is loaded at first use is loaded before the lockdown."""
    sink = pa.BufferOutputStream()
    texts = _array(pa.string(), 2, np.array([0, 1, 1], "<i4").tobytes(), b"a")
    numbers, whole = _array(pa.float64(), 2, bytes(16)), _array(pa.int32(), 2, bytes(8))
    table = pa.table({"unit": texts, "number": numbers, "whole": whole})
    parquet.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    for attempt in (content, content[: len(content) // 2], content[:8] + bytes(8) + content[16:]):
        _decode_safely(io.BytesIO(attempt), lambda message, body=b"": message.canonical(), 2).canonical()
