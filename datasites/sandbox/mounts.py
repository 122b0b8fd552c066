"""An errand's file tree: a root of its own in memory, on which what may be seen is mounted, read-only."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from datasites.sandbox.environment import View
from datasites.sandbox.kernel import (
    NO_DEVICES,
    NO_SUID,
    READ_ONLY,
    attach,
    detached_copy,
    keep_mounts_to_itself,
    make_root,
    mount_memory,
    set_mount_attributes,
)
from datasites.sandbox.messages import Task
from policies.errors import RefusedError

# The new root is built on a folder that exists everywhere, and in which nothing lies that is to be shown.
_ROOT = "/proc"
# What can be written is held by one of the old root, until its parts have their places in the new one.
_HOLD = "/usr"
_STANDING_BYTES, _PAGE = 2**21, 2**12
_MOST_FILES = 20_000


def build_standing(view: View) -> None:
    """In a new mount namespace: make the new root with what every errand sees. The old root is still there."""
    keep_mounts_to_itself()
    trees = {place: detached_copy(place, READ_ONLY | NO_SUID | NO_DEVICES) for place in view.bound}
    devices = {place: detached_copy(place, READ_ONLY | NO_SUID) for place in view.devices}
    mount_memory(_ROOT, f"size={_STANDING_BYTES},nr_inodes={_MOST_FILES},mode=0755")
    for place, tree in trees.items():
        _attach(tree, _in_new_root(place))
    for place, target in view.links:
        _in_new_root(place).symlink_to(target)
    for place, content in view.files:
        _write(_in_new_root(place), content)
    for place, tree in devices.items():
        _attach(tree, _in_new_root(place))


def _in_new_root(place: str) -> Path:
    return Path(_ROOT + place)


def try_out() -> None:
    """Make a new root and go there, as a trial; raises OSError if this machine does not let it."""
    keep_mounts_to_itself()
    mount_memory(_ROOT, "size=4096")
    make_root(_ROOT)


def complete(
    task: Task, files: Mapping[str, bytes | memoryview], shown: Mapping[str, int], more: tuple[str, ...]
) -> None:
    """Let the old root go, and add what this errand sees and may write.

    In this order, so that no link can lead what is added to a place outside.

    Args:
        files: content by place.
        shown: for each shown place, the descriptor that the file there must be.
        more: further folders, at their own places.

    Raises:
        RefusedError: a shown file is another one than was checked, or cannot be read.
    """
    room = sum(len(content) + 2 * _PAGE for content in files.values())
    mount_memory(_ROOT, f"size={_STANDING_BYTES + room},nr_inodes={2 * _MOST_FILES + len(files)}", again=True)
    trees = {place: detached_copy(place, READ_ONLY | NO_SUID | NO_DEVICES) for place in more}
    trees |= {file.place: _checked(file.path, shown[file.place]) for file in task.shown}
    writable = _writable(task.writable, task.disk_bytes + room)
    make_root(_ROOT)
    for place, tree in writable.items():
        _attach(tree, Path(place))
    for place in (task.working_folder, task.collected):
        Path(place).mkdir(parents=True, exist_ok=True)
    for place, content in files.items():
        _write(Path(place), content)
    for place, tree in trees.items():
        _attach(tree, Path(place))
    set_mount_attributes("/", READ_ONLY | NO_SUID | NO_DEVICES)
    for place in shown:
        if not os.access(place, os.R_OK):
            raise RefusedError("A file of the data set cannot be read by the datasite's own user; give the file to it.")


def _checked(path: str, descriptor: int) -> int:
    try:
        tree = detached_copy(path, READ_ONLY | NO_SUID | NO_DEVICES)
    except OSError as error:
        raise RefusedError("A file of the data set cannot be opened any more where it was checked.") from error
    found, checked = os.fstat(tree), os.fstat(descriptor)
    if (found.st_dev, found.st_ino) != (checked.st_dev, checked.st_ino) or not stat.S_ISREG(found.st_mode):
        os.close(tree)
        raise RefusedError("A file of the data set was replaced by another one after it was checked.")
    return tree


def _writable(places: tuple[str, ...], size: int) -> dict[str, int]:
    """Detached folders of one file system, so that one limit holds for all of them together."""
    mount_memory(_HOLD, f"size={size},nr_inodes={_MOST_FILES},mode=0755")
    found = {}
    for number, place in enumerate(places):
        part = Path(_HOLD, str(number))
        part.mkdir()
        found[place] = detached_copy(str(part), NO_SUID | NO_DEVICES)
    return found


def _attach(tree: int, path: Path) -> None:
    """Mount a file or folder on an empty one that is made for it."""
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        path.mkdir(parents=True, exist_ok=True)
    else:
        _write(path, b"")
    attach(tree, str(path))


def _write(path: Path, content: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o444)) as file:
        file.write(content)
