"""Lockdown: what a child process does to itself before it reads anything that it must not be able to pass on."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from datasites.sandbox import kernel, landlock, seccomp
from datasites.sandbox.call_rules import trainer_rules
from datasites.sandbox.limits import limit_resources
from policies.errors import RefusedError

_OPEN_FILES = 64
_ANY_FOLDER = "/proc"


def lock_down(memory_bytes: int, door: int | None = None, file_bytes: int = 0) -> tuple[str, ...]:
    """Take away files, network, other processes and further memory from this process, for good.

    Afterwards nothing can be opened, only the open descriptors be read and written, so everything must have been
    imported. Files and network are denied by the seccomp filter, which must hold; where the kernel has them, namespaces
    with an empty root and an empty network, and Landlock rules without a single allowed path, deny them again.

    Args:
        memory_bytes: most address space the process may have.
        door: the connected Unix socket on which the process may still be handed open files; it should close it after.
        file_bytes: how long a file that it is handed may become; it opens none itself.

    Returns the layers that hold, such as "seccomp", for the audit log.

    Raises:
        RefusedError: seccomp does not hold, or the process has several threads (Landlock would bind only one).
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RefusedError("A process with several threads cannot be locked down; start it with one.")
    limit_resources(memory_bytes=memory_bytes, open_files=_OPEN_FILES, file_bytes=file_bytes)
    try:
        kernel.give_up_privileges()
    except OSError as error:
        raise RefusedError("The kernel did not let this process give up its privileges, so it does not run.") from error
    layers = ["resource-limits", "no-new-privileges", *_separate()]
    version = landlock.restrict()
    if version:
        layers.append(f"landlock-{version}")
    seccomp.install(seccomp.compiled(trainer_rules(os.getpid(), door)))
    return (*layers, "seccomp")


def _separate() -> Iterator[str]:
    """Leave the machine's network, files and names, as far as the kernel lets; the layers that this makes.

    Not its process numbers: they would take a fork, and a filter that kills for every call at another process is there.
    """
    for more in (kernel.NEW_MOUNTS | kernel.NEW_NAMES | kernel.NEW_CONTROL_GROUPS, 0):
        try:
            kernel.unshare(kernel.NEW_USERS | kernel.NEW_NETWORK | kernel.NEW_IPC | more)
        except OSError:
            continue
        yield from ("user-namespace", "network-namespace", "ipc-namespace")
        if more:
            yield from ("uts-namespace", "cgroup-namespace")
            yield from _leave_all_files()
        break
    with suppress(OSError):  # there were none
        kernel.drop_capabilities()


def _leave_all_files() -> Iterator[str]:
    """Make an empty folder in memory, which cannot be written to, the root of everything."""
    try:
        kernel.keep_mounts_to_itself()
        kernel.mount_memory(_ANY_FOLDER, "size=4096,nr_inodes=1,mode=0555")
        kernel.make_root(_ANY_FOLDER)
        kernel.set_mount_attributes("/", kernel.READ_ONLY | kernel.NO_EXECUTION)
    except OSError:
        return
    yield "mount-namespace"
