"""Run a test program as a real ordinary user, from tests that run as root: `python -m tests.ordinary_user PROGRAM …`.

The interpreter or the repository may lie below a folder that only root may enter. So, in a mount namespace of its own,
each such folder is covered by an empty one that all may enter, and the needed parts are put back into it.
"""

import os
import sys
from pathlib import Path

from datasites.sandbox import kernel

ROOT = Path(__file__).resolve().parents[1]
USER = 54321
"""A user that owns nothing and has no name."""


def needed_folders() -> list[Path]:
    """Where the interpreter, its packages and this repository lie."""
    packages = [entry for entry in map(Path, sys.path) if entry.name == "site-packages"]
    return [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), *packages, ROOT]


def closed_folder_above(path: Path) -> Path | None:
    """The outermost folder above `path` that strangers cannot enter, if there is one."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def open_the_way(folders: list[Path]) -> None:
    """Let everybody reach these folders, in the mounts that this process alone sees."""
    kernel.unshare(kernel.NEW_MOUNTS)
    kernel.keep_mounts_to_itself()
    ways = {folder: closed for folder in folders if (closed := closed_folder_above(folder)) is not None}
    trees = {folder: kernel.detached_copy(str(folder), 0) for folder in ways}
    for closed in set(ways.values()):
        kernel.mount_memory(str(closed), "mode=0755")
    for folder, tree in trees.items():
        folder.mkdir(parents=True, exist_ok=True)
        kernel.attach(tree, str(folder))


def main(program: list[str]) -> None:
    """Become the ordinary user and run the Python program."""
    open_the_way(needed_folders())
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.execv(sys.executable, [sys.executable, *program])  # noqa: S606 – no shell, on purpose


if __name__ == "__main__":
    main(sys.argv[1:])
