"""Read a Parquet table strictly against its manifest, decoded by a locked-down process of which nothing is believed."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from datasites.catalog.checked_rows import CheckedRows, check_units, label_codes
from datasites.catalog.parquet_messages import MAXIMUM_BATCH_BYTES, Decoded, Kind
from datasites.catalog.table_checks import (
    Parts,
    ReadWhole,
    Values,
    column_places,
    expected_columns,
    refusal,
    rows_a_batch,
)
from datasites.sandbox.environment import OWN_PACKAGES
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, read_frame
from policies.columns import MeasuredColumn, NamedColumn, PlainColumn
from policies.errors import InvalidInputError, RefusedError, UnavailableError
from policies.manifest import Manifest
from policies.statements.schema import parse_model

DECODER_BYTES = 2**30
"""Most address space of the decoding process: what a page, a dictionary or a batch may need, whatever the file says."""

_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from datasites.catalog.parquet_decoder import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
# Only a process with one thread can be locked down, and Arrow's allocators would start more.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "HOME": "/nonexistent",
}
_DAMAGED = "The table begins like a Parquet file and cannot be read as one: it is damaged or cut off. Write it again."
_REASONS: Mapping[str, str] = {
    "damaged": _DAMAGED,
    "memory": f"Reading the Parquet table needs more than {DECODER_BYTES // 2**30} GiB of memory at a time; "
    "write it again with smaller pages and row groups, and without very long texts.",
    "columns": "The Parquet table has too many columns, or one with a name that is too long; keep the declared ones.",
}
_REFUSED_KINDS: Mapping[Kind, str] = {
    "dictionary": "is dictionary-typed (a pandas category); write it as plain text",
    "nested": "is nested (a list, struct or map); write one plain value a row",
    "extension": "has an extension type; write it as plain text or a number",
    "unknown": "is neither text nor a whole number (int64) nor a floating-point one; write it as one of these",
}


def parquet_parts(file: BinaryIO, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    """Read the table in `file`, whose first record is row 1.

    Units and categories are text; whole numbers stand for their decimal digits. Numbers and integers are whole or
    floating-point numbers.

    Raises:
        InvalidInputError: the columns or their types are not the manifest's; or the file is damaged.
        RefusedError: this machine cannot lock the decoder down.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", _START, str(OWN_PACKAGES), str(DECODER_BYTES), str(rows_a_batch(manifest))],
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    ) as decoder:
        try:
            assert decoder.stdout is not None  # noqa: S101 – it is a pipe
            yield from _parts(decoder.stdout.fileno(), manifest, read_whole)
        finally:
            if decoder.poll() is None:
                os.killpg(decoder.pid, signal.SIGKILL)


def _parts(pipe: int, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    found = _next(pipe)[0].columns or ()
    expected = expected_columns(manifest)
    places = column_places([column.name for column in found], expected, row=0)
    kinds = {name: found[place].kind for name, place in places.items()}
    _check_kinds(kinds, manifest)
    first_row = 1
    while True:
        message, body = _next(pipe)
        if message.end is not None:
            break
        count = message.rows
        columns = _Columns(body, count, places, kinds)
        numbers = np.arange(first_row, first_row + count)
        first_row += count
        checked = CheckedRows(manifest, numbers)
        texts, indices = columns.texts(expected[0])
        names, bad = check_units([*texts, ""])  # the last place, −1, is null
        checked.take_units(names[indices], bad[indices])
        for column in manifest.plain_columns:
            checked.take_column(column, *_column(column, columns), lambda _: True)
        if manifest.whole_column is not None:
            texts, indices = columns.texts(manifest.whole_column.name)
            texts.append("")
            checked.take_whole([texts[place] for place in indices], read_whole)
        yield checked.batch()
    if first_row == 1:
        raise refusal([(0, "the table has no rows")])


def _check_kinds(kinds: Mapping[str, Kind], manifest: Manifest) -> None:
    named = {column.name: column for column in manifest.columns}
    problems = []
    for name, kind in kinds.items():
        is_text = not isinstance(named.get(name), MeasuredColumn)
        if kind in _REFUSED_KINDS:
            problems.append((0, f"column {name!r} {_REFUSED_KINDS[kind]}"))
        elif kind == "floating" and is_text:
            problems.append((0, f"column {name!r} is floating-point and not declared as a number; write it as text"))
        elif kind == "text" and not is_text:
            problems.append((0, f"column {name!r} is text and declared as a number; write it as a number"))
    if problems:
        raise refusal(problems)


def _column(column: PlainColumn, columns: "_Columns") -> tuple[Values, NDArray[np.bool_]]:
    """The column's values, and which are null: these get the code −1, or NaN."""
    if isinstance(column, NamedColumn):
        texts, indices = columns.texts(column.name)
        return np.append(label_codes(column, texts), -1)[indices], indices < 0
    numbers, nulls = columns.numbers(column.name)
    values = numbers.astype(np.float64)
    values[nulls] = np.nan
    return values, nulls


class _Columns:
    """The arrays of one frame, believed only as far as they are checked."""

    def __init__(self, body: bytes, rows: int, places: Mapping[str, int], kinds: Mapping[str, Kind]) -> None:
        try:
            self._arrays: dict[str, NDArray[Any]] = load(body)
        except (SafetensorError, ValueError, KeyError) as error:
            raise InvalidInputError(_DAMAGED) from error
        self._rows, self._places, self._kinds = rows, places, kinds

    def numbers(self, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The numbers of a column that is not text, and which of them are null."""
        place = self._places[name]
        kind = np.int64 if self._kinds[name] == "whole" else np.float64
        return self._get(f"{place}", kind, self._rows), self._get(f"{place}.null", np.bool_, self._rows)

    def texts(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """The different texts of a column, or its whole numbers in digits; and for each row its text's place, or −1."""
        place = self._places[name]
        if self._kinds[name] == "whole":
            numbers, nulls = self.numbers(name)
            different, indices = np.unique(numbers, return_inverse=True)
            return list(map(str, different.tolist())), np.where(nulls, -1, indices)
        content = self._get(f"{place}.text", np.uint8).tobytes()
        ends = self._get(f"{place}.ends", np.int64)
        indices = self._get(f"{place}", np.int32, self._rows).astype(np.int64)
        starts = [0, *ends[:-1].tolist()]
        if ((indices < -1) | (indices >= len(ends))).any() or (len(ends) and ends[-1] != len(content)):
            raise InvalidInputError(_DAMAGED)
        if (np.diff(ends, prepend=0) < 0).any():  # else few bytes could be taken as any number of long texts
            raise InvalidInputError(_DAMAGED)
        try:
            return [content[a:b].decode() for a, b in zip(starts, ends.tolist(), strict=False)], indices
        except UnicodeDecodeError:
            raise InvalidInputError(_DAMAGED) from None

    def _get(self, name: str, kind: type[np.generic], length: int | None = None) -> NDArray[Any]:
        array = self._arrays.get(name)
        if array is None or array.dtype != kind or array.ndim != 1 or length not in (None, len(array)):
            raise InvalidInputError(_DAMAGED)
        return array


def _next(pipe: int) -> tuple[Decoded, bytes]:
    """The decoder's next message and its body.

    Raises:
        InvalidInputError: the file cannot be decoded, or the decoder ended by it.
        RefusedError: the decoder could not be locked down.
    """
    try:
        frame = read_frame(pipe, maximum_body=MAXIMUM_BATCH_BYTES)
        message = parse_model(Decoded, frame.header, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The decoder's message")
    except (UnavailableError, InvalidInputError):
        raise InvalidInputError(_DAMAGED) from None
    if message.end == "lockdown":
        raise RefusedError("This machine cannot lock down the process that decodes Parquet files; save it as CSV.")
    if message.end not in (None, "complete"):
        raise InvalidInputError(_REASONS[message.end])
    return message, bytes(frame.body)
