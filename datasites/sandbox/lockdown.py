"""Lockdown: what a child process does to itself before it reads anything that it must not be able to pass on."""

import os
from pathlib import Path

from datasites.sandbox import kernel, landlock, seccomp
from datasites.sandbox.call_rules import trainer_rules
from datasites.sandbox.limits import limit_resources
from policies.errors import RefusedError

_OPEN_FILES = 64


def lock_down(memory_bytes: int, door: int | None = None) -> tuple[str, ...]:
    """Take away files, network, other processes and further memory from this process, for good.

    Afterwards nothing can be opened, only the open descriptors be read and written, so everything must have been
    imported. Files and network are denied by the seccomp filter, which must hold; where the kernel has them, an empty
    network namespace and a Landlock rule set without a single allowed path deny them a second time.

    Args:
        memory_bytes: most address space the process may have.
        door: the connected Unix socket on which the process may still be handed open files; it should close it after.

    Returns the layers that hold, such as "seccomp", for the audit log.

    Raises:
        RefusedError: seccomp does not hold, or the process has several threads (Landlock would bind only one).
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RefusedError("A process with several threads cannot be locked down; start it with one.")
    limit_resources(memory_bytes=memory_bytes, open_files=_OPEN_FILES)
    try:
        kernel.give_up_privileges()
    except OSError as error:
        raise RefusedError("The kernel did not let this process give up its privileges, so it does not run.") from error
    layers = ["resource-limits", "no-new-privileges"]
    try:
        kernel.unshare(kernel.NEW_USERS | kernel.NEW_NETWORK | kernel.NEW_IPC)
        layers.append("network-namespace")
    except OSError:
        pass
    version = landlock.restrict()
    if version:
        layers.append(f"landlock-{version}")
    seccomp.install(trainer_rules(os.getpid(), door))
    return (*layers, "seccomp")
