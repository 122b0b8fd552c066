"""Bounded waits for what other processes do, and what the machine says of them."""

import os
import select
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")

_BETWEEN_LOOKS = 0.02
SECONDS = 60.0
"""What a step may take on two busy cores."""


def eventually(look: Callable[[], Found], what: str, seconds: float = SECONDS) -> Found:
    """Look until there is something to see, and give it; fail with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"Within {seconds:g} s this was not seen: {what}."
        time.sleep(_BETWEEN_LOOKS)
    return found


def wait_until_gone(pid: int, seconds: float = SECONDS) -> None:
    """Wait for the end of any process, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], seconds)[0], f"process {pid} did not end within {seconds:g} s"
    finally:
        os.close(descriptor)


def children_of(parent: int) -> list[int]:
    """The processes that `parent`, with any of its threads, has started and not yet reaped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name stands in brackets and may hold anything.
            after_name = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(after_name[1]) == parent and after_name[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def command_line(pid: int) -> bytes:
    """The words that a process was started with; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def mapped_files(pid: int) -> set[str]:
    """The names of the files that a process has mapped. Its threads share one address space."""
    lines = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return {Path(fields[5]).name for fields in lines if len(fields) == 6 and fields[5].startswith("/")}


def rows(database: Path, query: str, *values: Any) -> list[Any]:
    """What a query finds in a datasite's or a researcher's database, which is opened for reading only."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query, values).fetchall()


def content(database: Path, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of some tables (of every table without names), to be compared with themselves later."""
    names = tables or tuple(row["name"] for row in rows(database, "SELECT name FROM sqlite_master WHERE type='table'"))
    return {name: sorted(map(tuple, rows(database, f"SELECT * FROM {name}")), key=repr) for name in names}  # noqa: S608
