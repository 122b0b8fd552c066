"""Linux calls that Python has no name for: new namespaces, mounts, and giving up privileges. Errors are OSError."""

import ctypes
import os
import platform
import struct

from datasites.sandbox.system_calls import ARCHITECTURES, MOUNT_SET_ATTRIBUTES, MOVE_MOUNT, OPEN_TREE

NEW_MOUNTS, NEW_CONTROL_GROUPS, NEW_NAMES, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USERS, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000

ALL_NAMESPACES = (
    NEW_MOUNTS | NEW_CONTROL_GROUPS | NEW_NAMES | NEW_IPC | NEW_USERS | NEW_PROCESSES | NEW_NETWORK
)  # fmt: skip

READ_ONLY, NO_SUID, NO_DEVICES, NO_EXECUTION = 1, 2, 4, 8

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _DROP_CAPABILITY, _SET_NO_NEW_PRIVILEGES, _AMBIENT = 1, 4, 24, 38, 47
_CLEAR_ALL = 4
_MOST_CAPABILITIES = 64
_CAPABILITY_VERSION = 0x20080522
_AT_EMPTY_PATH, _AT_RECURSIVE, _AT_HERE = 0x1000, 0x8000, -100
_OPEN_TREE_CLONE, _OPEN_TREE_CLOSE_ON_EXEC, _MOVE_FROM_EMPTY_PATH = 1, 0o2000000, 4
_RECURSIVE, _SLAVE, _REMOUNT, _DETACH = 0x4000, 0x80000, 0x20, 2
_DIES_BY = 9
_NEW_CHILD = 17

# PyDLL keeps the interpreter's lock, which a child that is made by `clone` would otherwise find in an odd state.
_library = ctypes.PyDLL(None, use_errno=True)


def unshare(namespaces: int) -> None:
    """Put this process into new namespaces, the bits of `NEW_…`."""
    _check(_library.unshare(namespaces), "unshare")


def clone(namespaces: int) -> int:
    """Fork into new namespaces: 0 in the child, the child's process id in the parent, which must have one thread.

    The C library does not notice. So the child is to do simple things only, and to fork again for what is not simple.
    """
    number = ARCHITECTURES[platform.machine()].numbers["clone"]
    return _check(_library.syscall(number, ctypes.c_ulong(namespaces | _NEW_CHILD), 0, 0, 0, 0), "clone")


def map_own_user(outside_user: int, outside_group: int, inside: int) -> None:
    """In a new user namespace, be the user and group `inside`, which outside are still the given ones."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside_user} 1"),
        ("gid_map", f"{inside} {outside_group} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def keep_mounts_to_itself() -> None:
    """Let no mount made here be seen outside; mounts made outside still come in."""
    _check(_library.mount(None, b"/", None, ctypes.c_ulong(_RECURSIVE | _SLAVE), None), "mount")


def mount_memory(place: str, options: str, *, again: bool = False) -> None:
    """Mount an empty file system in memory with tmpfs's `options`, or change those of the one that is there."""
    flags = ctypes.c_ulong(NO_SUID | NO_DEVICES | (_REMOUNT if again else 0))
    _check(_library.mount(b"memory", os.fsencode(place), b"tmpfs", flags, options.encode()), f"mount at {place}")


def detached_copy(path: str, attributes: int) -> int:
    """A descriptor of what lies at `path`, with all that is mounted below, ready to be put elsewhere by `attach`."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOSE_ON_EXEC | _AT_RECURSIVE
    tree = _check(_library.syscall(OPEN_TREE, _AT_HERE, os.fsencode(path), flags), f"open_tree {path}")
    try:
        set_mount_attributes("", attributes, tree)
    except OSError:
        os.close(tree)
        raise
    return tree


def attach(tree: int, place: str) -> None:
    """Mount a detached copy at `place`, and close its descriptor."""
    try:
        call = (MOVE_MOUNT, tree, b"", _AT_HERE, os.fsencode(place), _MOVE_FROM_EMPTY_PATH)
        _check(_library.syscall(*call), f"move_mount to {place}")
    finally:
        os.close(tree)


def set_mount_attributes(path: str, attributes: int, tree: int = _AT_HERE) -> None:
    """Forbid writing, devices and the like at a mount: below a detached tree everywhere, at a path there alone."""
    request = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE if tree != _AT_HERE else 0
    call = (MOUNT_SET_ATTRIBUTES, tree, os.fsencode(path), flags, request, ctypes.c_size_t(len(request)))
    _check(_library.syscall(*call), "mount_setattr")


def make_root(place: str) -> None:
    """Make the mount at `place` the root of everything, and let the old root go."""
    os.chdir(place)
    _check(_library.pivot_root(b".", b"."), "pivot_root")
    _check(_library.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def die_with_parent() -> None:
    """End this process by SIGKILL when the thread that made it ends. A change of user or capabilities undoes this."""
    _check(_library.prctl(_SET_DEATH_SIGNAL, _DIES_BY, 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    for capability in range(_MOST_CAPABILITIES):
        if _library.prctl(_DROP_CAPABILITY, capability, 0, 0, 0) != 0:
            break  # EINVAL behind the last; EPERM where there is none to drop, and then it cannot be gained either
    _library.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _check(_library.capset(header, nothing), "capset")


def give_up_privileges() -> None:
    """Let no program give this process more privileges, and nobody of the same user look into it."""
    _check(_library.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    _check(_library.prctl(_SET_DUMPABLE, 0, 0, 0, 0), "prctl")


def _check(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
