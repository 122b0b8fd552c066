"""A control group that bounds how many threads an errand can have: for root, whom the kernel's other limit exempts."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_NAME = "cloister-"
_LAST_MOMENT_SECONDS = 1.0


@dataclass(frozen=True)
class Bound:
    """Descriptors of a control group's two files: of its members, and of the most that it may have."""

    members: int
    most: int

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both of them."""
        return self.members, self.most

    def enter(self) -> None:
        """Put this process, and so its children, into the group."""
        os.write(self.members, b"0")

    def limit(self, tasks: int) -> None:
        """Let the group have so many processes and threads."""
        os.pwrite(self.most, str(tasks).encode(), 0)


def needed() -> bool:
    """Whether this process's user is the machine's root, whom no other limit binds; not that of a container's users."""
    if os.geteuid() != 0:
        return False
    inside, outside, _ = Path("/proc/self/uid_map").read_text().split()[:3]
    return inside == outside == "0"


def make() -> Bound | None:
    """Make this process's group, to be taken away by `remove`; None if the machine does not let it."""
    for parent in _parents():
        folder = parent / f"{_NAME}{os.getpid()}"
        try:
            folder.mkdir(exist_ok=True)
            return Bound(os.open(folder / "cgroup.procs", os.O_WRONLY), os.open(folder / "pids.max", os.O_WRONLY))
        except OSError:
            _remove(folder)
    return None


def remove(process: int) -> None:
    """Take away the group that `process` made, and those of makers that ended without anybody doing so.

    A group is busy until the last of its members is quite gone, which may take a moment.
    """
    deadline = time.monotonic() + _LAST_MOMENT_SECONDS
    while _remove_idle(process) and time.monotonic() < deadline:
        time.sleep(0.005)


def _remove_idle(process: int) -> bool:
    """Whether the group of `process` is still there."""
    for parent in _parents():
        for folder in parent.glob(f"{_NAME}*"):
            owner = folder.name.removeprefix(_NAME)
            if owner == str(process) or not _runs(owner):
                _remove(folder)
    return any((parent / f"{_NAME}{process}").exists() for parent in _parents())


def _runs(process: str) -> bool:
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _remove(folder: Path) -> None:
    with suppress(OSError):  # it is busy, or was not there
        folder.rmdir()


def _parents() -> list[Path]:
    """Where a group may be made: below the one of this process, or at the top; version 1 has a tree for this alone."""
    first = _MOUNT / "pids"
    is_first = (first / "cgroup.procs").exists()
    mount = first if is_first else _MOUNT
    parents = [mount]
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == ("pids" if is_first else "") and path != "/":
                parents.insert(0, mount / path.lstrip("/"))
    return [parent for parent in parents if parent.is_dir()]
