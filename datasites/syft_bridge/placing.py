"""Builds trees beside their place and puts them there in one step, so that Syft never lists half of one."""

import fcntl
import filecmp
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasites.protocol.private_files import sync_folder
from datasites.syft_bridge.folder import SyftFolder
from policies.errors import ConflictError

# Without «@», so that Syft does not take it for a datasite.
_STAGING = ".cloister-staging"
_REMOVED = "removed"


@contextmanager
def building(folder: SyftFolder) -> Iterator[SyftFolder]:
    """Hold `folder` against other threads and processes, and give an empty twin of it to build in.

    What a crash left in the twin goes at the next call; nothing in it is ever listed by Syft.

    Raises:
        ConflictError: something that is not a folder stands where the twin belongs.
    """
    for root in (folder.box, folder.private_root):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    twin = SyftFolder(folder.box / _STAGING, folder.private_root / _STAGING, folder.owner_email)
    with (folder.private_root / "syft_bridge.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _clear(twin)
        try:
            yield twin
        finally:
            _clear(twin)


def place(staged: Path, *, twin_root: Path, root: Path) -> None:
    """Move `staged` (a file or folder below `twin_root`) to the same place below `root`, replacing what is there.

    A file is replaced at once. A folder that is replaced is missing for an instant, and after a crash in that
    instant until it is placed again.

    Raises:
        ConflictError: a link on the way leads out of `root`; nothing was written.
    """
    final = counterpart(staged, twin_root=twin_root, root=root)
    if not final.parent.resolve().is_relative_to(root.resolve()):
        raise ConflictError(f"A link on the way to {final} leads out of {root}; remove it, then try again.")
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _flush(staged)
    if staged.is_dir() and os.path.lexists(final):
        final.rename(twin_root / _REMOVED)
    staged.replace(final)
    sync_folder(final.parent)


def counterpart(staged: Path, *, twin_root: Path, root: Path) -> Path:
    """The place below `root` that `staged` has below `twin_root`."""
    return root / staged.relative_to(twin_root)


def same_tree(one: Path, other: Path) -> bool:
    """Whether both hold the same names, file contents and link targets; links are compared, never followed."""
    if not (os.path.lexists(one) and os.path.lexists(other)):
        return False
    kind = stat.S_IFMT(one.lstat().st_mode)
    if kind != stat.S_IFMT(other.lstat().st_mode):
        return False
    if kind == stat.S_IFLNK:
        return one.readlink() == other.readlink()
    if kind == stat.S_IFREG:
        return filecmp.cmp(one, other, shallow=False)
    names = {path.name for path in one.iterdir()}
    return names == {path.name for path in other.iterdir()} and all(
        same_tree(one / name, other / name) for name in names
    )


def _clear(twin: SyftFolder) -> None:
    for root in (twin.box, twin.private_root):
        if root.is_symlink() or (root.exists() and not root.is_dir()):
            raise ConflictError(f"{root} should be a folder of Cloister's own and is something else; remove it.")
        if root.exists():
            shutil.rmtree(root)


def _flush(path: Path) -> None:
    if path.is_symlink():
        return
    if path.is_dir():
        for child in path.iterdir():
            _flush(child)
        sync_folder(path)
    else:
        with path.open("rb") as file:
            os.fsync(file.fileno())
