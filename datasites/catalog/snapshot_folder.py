"""The folder of snapshots: one registration at a time writes to it, and what a stopped one left is removed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from datasites.catalog.external_sort import UNFINISHED
from datasites.protocol.private_files import make_private_folder
from datasites.site import Site
from datasites.store.data_sets import all_data_sets
from policies.errors import ConflictError


@contextmanager
def registering(site: Site) -> Iterator[None]:
    """Hold the folder for one registration; before and after it, remove what belongs to no data set.

    Raises:
        ConflictError: another registration is going on.
        RefusedError: other accounts may look into the folder.
    """
    make_private_folder(site.home.snapshots)
    descriptor = os.open(site.home.snapshots, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError("Another data set is being registered here; wait until that is done.") from error
        _remove_unused(site)
        try:
            yield
        finally:
            _remove_unused(site)
    finally:
        os.close(descriptor)


def remove_leftovers(site: Site) -> None:
    """Remove what a stopped registration left, unless one is going on, which will do so itself."""
    try:
        with registering(site):
            pass
    except ConflictError:
        return


def _remove_unused(site: Site) -> None:
    with site.engine.begin() as connection:
        used = {data_set.snapshot_file for data_set in all_data_sets(connection)}
    for path in site.home.snapshots.iterdir():
        if path.name.startswith(UNFINISHED) or (path.suffix == ".snapshot" and path.name not in used):
            path.unlink()
