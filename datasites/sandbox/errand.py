"""An errand: one thing done in the sandbox, what it may use, and what came of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Ending = Literal["finished", "failed", "timed-out", "out-of-memory", "too-much-output", "killed", "cancelled"]

ERRORS = (
    "ArithmeticError", "AssertionError", "AttributeError", "EOFError", "FileExistsError", "FileNotFoundError",
    "FloatingPointError", "ImportError", "IndexError", "IsADirectoryError", "KeyError", "KeyboardInterrupt",
    "LookupError", "MemoryError", "ModuleNotFoundError", "NameError", "NotADirectoryError", "NotImplementedError",
    "OSError", "OverflowError", "PermissionError", "RecursionError", "RuntimeError", "StopIteration", "SyntaxError",
    "SystemExit", "TimeoutError", "TypeError", "UnicodeError", "ValueError", "ZeroDivisionError",
)  # fmt: skip
"""The classes of errors that an outcome may name; each other one is "other"."""


@dataclass(frozen=True)
class Limits:
    """What an errand may use.

    memory_bytes: address space, beyond 1.5 GiB for the interpreter and packages (more if these took more beforehand).
    disk_bytes: everything written: temporary files, working folder, outputs.
    threads: of the one process that there is.
    text_bytes: of standard output and of standard error each; more ends the run.
    """

    memory_bytes: int
    disk_bytes: int
    cpu_seconds: int
    wall_seconds: float
    threads: int
    text_bytes: int


@dataclass(frozen=True)
class Shown:
    """A file outside, shown read-only at `place`: an absolute path inside.

    `descriptor` is open on the very file that was checked; if another one lies at `path` by now, the errand is refused.
    """

    place: str
    path: Path
    descriptor: int


@dataclass(frozen=True)
class Errand:
    """What runs, what it sees, and where its outputs are. All places are absolute paths inside.

    program: "script" is a Python file that runs as `python script` would; "inspection" is our `datasites.inspection`.
    files: content by place. A file below a writable folder is read-only by its mode alone.
    working_folder, collected: exist before, and can be written; the regular files below `collected` are the outputs.
    environment: beside what the sandbox itself sets.
    packages: whether Cloister's own packages can be imported.
    """

    program: Literal["script", "inspection"]
    script: str
    files: Mapping[str, bytes] = field(repr=False)
    shown: tuple[Shown, ...]
    working_folder: str
    collected: str
    environment: Mapping[str, str]
    limits: Limits
    packages: bool = False


@dataclass(frozen=True)
class Output:
    """A file that the errand left: its name relative to `collected`, with `/` between its parts; and its size."""

    name: str
    size: int


@dataclass(frozen=True)
class Outcome:
    """What came of an errand.

    error: for "failed", the built-in exception's name if it is one of `ERRORS`, else "other"; for others "".
    outputs: in the order in which their bytes were written out.
    left_out: what else lay in `collected`, such as "2 links".
    peak_memory_bytes: beyond what the interpreter and its packages took before the script began.
    layers: what held it, for the audit log.
    """

    ending: Ending
    error: str
    outputs: tuple[Output, ...]
    left_out: tuple[str, ...]
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    layers: tuple[str, ...]


class Cancel:
    """A bell by which another thread ends an errand; it stays rung. Use it as a context manager, or `close` it."""

    def __init__(self) -> None:
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def cancel(self) -> None:
        """End the errand at once, or as soon as it begins."""
        os.eventfd_write(self._bell, 1)

    def fileno(self) -> int:
        """A descriptor that can be read as soon as it was rung."""
        return self._bell

    def close(self) -> None:
        """Let the descriptor go; no errand may use it any more."""
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
