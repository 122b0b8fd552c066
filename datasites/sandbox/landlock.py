"""Landlock: rules of the kernel over files, TCP and signals that a process puts on itself, for good."""

import ctypes
import os
import struct
from collections.abc import Iterable

from datasites.sandbox.system_calls import LANDLOCK_ADD_RULE, LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF

_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER, _WRITE_FILE, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
_REMOVE_FOLDER, _REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE, _MAKE_LINK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
_MOVE = 1 << 13

_READING = _READ_FILE | _READ_FOLDER
_DEVICE = _READ_FILE | _WRITE_FILE
_WRITING = (
    _READING | _WRITE_FILE | _TRUNCATE | _REMOVE_FOLDER | _REMOVE_FILE | _MAKE_FOLDER | _MAKE_FILE | _MAKE_LINK | _MOVE
)


def restrict(readable: Iterable[str] = (), writable: Iterable[str] = (), devices: Iterable[str] = ()) -> int:
    """Deny every file access, TCP connection and signal to outside that this kernel's Landlock knows, but for these.

    Below `readable` files can be read, below `writable` also be written, made and removed; `devices` are single files
    to read and write. Nothing can be executed. `no_new_privs` must be set already, and the process have one thread.

    Returns Landlock's version; 0 if the kernel has none, or it did not take the rules.
    """
    library = ctypes.CDLL(None, use_errno=True)
    version = int(library.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    if version < 1:
        return 0
    known = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    attributes = struct.pack("=Q", known)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)
    rules = library.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return 0
    try:
        for paths, rights in ((readable, _READING), (writable, _WRITING), (devices, _DEVICE)):
            for path in paths:
                if not _allow(library, rules, path, rights & known):
                    return 0
        return version if library.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0 else 0
    finally:
        os.close(rules)


def _allow(library: ctypes.CDLL, rules: int, path: str, rights: int) -> bool:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = struct.pack("=Qi", rights, place)
        return bool(library.syscall(LANDLOCK_ADD_RULE, rules, _PATH_BENEATH, beneath, 0) == 0)
    finally:
        os.close(place)
