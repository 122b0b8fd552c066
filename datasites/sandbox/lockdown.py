"""Lockdown: what a child process does to itself before it reads anything that it must not be able to pass on."""

import ctypes
import os
import resource
import struct
from pathlib import Path

from datasites.sandbox import seccomp
from datasites.sandbox.system_calls import LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF
from policies.errors import RefusedError

_SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 4, 38
_NEW_IPC, _NEW_USER, _NEW_NETWORK = 0x08000000, 0x10000000, 0x40000000
_LANDLOCK_VERSION = 1
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
    library = ctypes.CDLL(None, use_errno=True)
    _limit_resources(memory_bytes)
    if library.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or library.prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise RefusedError("The kernel did not let this process give up its privileges, so it does not run.")
    layers = ["resource-limits", "no-new-privileges"]
    if library.unshare(_NEW_USER | _NEW_NETWORK | _NEW_IPC) == 0:
        layers.append("network-namespace")
    landlock = _restrict_by_landlock(library)
    if landlock:
        layers.append(f"landlock-{landlock}")
    seccomp.install(door)
    return (*layers, "seccomp")


def _limit_resources(memory_bytes: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def _restrict_by_landlock(library: ctypes.CDLL) -> int:
    """Deny every file access, TCP connection and signal that this kernel's Landlock knows; its version, 0 if none."""
    version = int(library.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION))
    if version < 1:
        return 0
    file_rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    attributes = struct.pack("=Q", (1 << file_rights) - 1)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)
    rules = library.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return 0
    restricted = library.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return version if restricted else 0
