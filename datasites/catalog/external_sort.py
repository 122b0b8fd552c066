"""Sort more records than memory holds: runs sorted in memory, kept in a file without a name, merged block by block."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

UNFINISHED = "unfinished-"
"""How the names of files begin that a stopped registration may leave, and the next start removes."""

_MEMORY_BYTES = 2**24


class ExternalSort:
    """Records with a field `key` (uint64), in the order of their keys, equal ones in the order they were added.

    The file lies in a private folder with mode 0600 and is unlinked as soon as it is open: it ends with this process.
    Memory is some times `memory_bytes`, however many records there are. Use it as a context manager.
    """

    def __init__(self, folder: Path, record: DTypeLike, memory_bytes: int = _MEMORY_BYTES) -> None:
        """Sort records of the packed structured type `record`, in this machine's byte order."""
        self._record = np.dtype(record)
        self._most = max(1, memory_bytes // self._record.itemsize)
        self._stack = ExitStack()
        file = tempfile.TemporaryFile(dir=folder, prefix=UNFINISHED)  # noqa: SIM115 – the stack closes it
        self._file = self._stack.enter_context(file).fileno()
        self._waiting: list[NDArray[Any]] = []
        self._count = 0
        self._runs: list[tuple[int, int]] = []
        self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget the records."""
        self._stack.close()

    def add(self, records: NDArray[Any]) -> None:
        """Add records of the type, in any order."""
        self._waiting.append(records)
        self._count += len(records)
        self.total += len(records)
        if self._count >= self._most:
            self._spill()

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All records in order, in blocks; those with equal keys are in the same block."""
        self._spill()
        window = max(1, self._most // max(1, len(self._runs)))
        left = list(self._runs)
        held = [np.empty(0, self._record) for _ in left]
        while True:
            for run, (start, end) in enumerate(left):
                count = min(window - len(held[run]), end - start)
                if count > 0:
                    held[run] = np.concatenate([held[run], self._read(start, count)])
                    left[run] = (start + count, end)
            # Whatever is still in the file is not below the last key held of its run.
            open_ends = [part["key"][-1] for part, (start, end) in zip(held, left, strict=True) if start < end]
            cuts = [np.searchsorted(part["key"], min(open_ends)) if open_ends else len(part) for part in held]
            taken = [part[:cut] for part, cut in zip(held, cuts, strict=True)]
            held = [part[cut:] for part, cut in zip(held, cuts, strict=True)]
            if sum(map(len, taken)):
                merged = np.concatenate(taken)
                yield merged[np.argsort(merged["key"], kind="stable")]
            elif open_ends:
                window *= 2  # one key fills a whole window
            else:
                return

    def _spill(self) -> None:
        if not self._count:
            return
        run = np.concatenate(self._waiting)
        run = run[np.argsort(run["key"], kind="stable")]
        self._waiting, self._count = [], 0
        start = self._runs[-1][1] if self._runs else 0
        write_all(self._file, run)
        self._runs.append((start, start + len(run)))

    def _read(self, start: int, count: int) -> NDArray[Any]:
        records = np.empty(count, self._record)
        read_exactly(self._file, records.view(np.uint8).data, start * self._record.itemsize)
        return records


def write_all(descriptor: int, array: NDArray[Any]) -> None:
    """Write the bytes of a contiguous array at the descriptor's place."""
    left = array.reshape(-1).view(np.uint8).data
    while left:
        left = left[os.write(descriptor, left) :]


def read_exactly(descriptor: int, buffer: memoryview, offset: int) -> None:
    """Fill `buffer` from `offset` of a file.

    Raises:
        EOFError: the file ends before.
    """
    while buffer:
        got = os.preadv(descriptor, [buffer], offset)
        if got == 0:
            raise EOFError("the file ends too early")
        buffer, offset = buffer[got:], offset + got
