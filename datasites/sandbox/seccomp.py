"""Seccomp: a filter over system calls that allows a short list and refuses everything else."""

import ctypes
import errno
import os
import platform
import struct

from datasites.sandbox.system_calls import ALLOWED, ARCHITECTURES, FATAL, REFUSED, Architecture
from policies.errors import RefusedError

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_FIRST_X32_CALL = 0x40000000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_CLONE_THREAD = 0x00010000
_TERMINAL_QUERY, _CLOSE_ON_EXEC = 0x5401, 0x5451
_DESCRIPTOR_COMMANDS = (0, 1, 2, 3, 4, 1030)
_SET_THREAD_NAME = 15

Instruction = tuple[int, int, int, int]


def build_filter(architecture: Architecture, process: int, door: int | None = None) -> bytes:
    """The classic-BPF program for the process with id `process`, as the kernel's array of `sock_filter`.

    Allowed: `system_calls.ALLOWED`; `clone` of a thread; `tgkill` of itself; reading a resource limit; duplicating
    and marking descriptors; naming a thread; receiving descriptors on the socket `door`, if there is one. EACCES:
    `REFUSED`. The process is killed for `FATAL`, a `clone` of a process, receiving on another descriptor, a foreign
    architecture or the x32 form. Whatever is not named does not exist for the child (ENOSYS).
    """
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _FIRST_X32_CALL),
        (_RETURN, 0, 0, _KILL),
    ]
    numbers = architecture.numbers
    for names, answer in ((ALLOWED, _ALLOW), (REFUSED, _ERRNO | errno.EACCES), (FATAL, _KILL)):
        for name in names:
            if name in numbers:
                program += _when(numbers[name], [(_RETURN, 0, 0, answer)])
    program += _when(numbers["clone"], _if_any_bit(0, _CLONE_THREAD, otherwise=_KILL))
    program += _when(numbers["tgkill"], _if_one_of(0, (process,), otherwise=_KILL))
    program += _when(numbers["ioctl"], _if_one_of(1, (_TERMINAL_QUERY, _CLOSE_ON_EXEC), otherwise=_ERRNO | errno.EPERM))
    program += _when(numbers["fcntl"], _if_one_of(1, _DESCRIPTOR_COMMANDS, otherwise=_ERRNO | errno.EPERM))
    program += _when(numbers["prctl"], _if_one_of(0, (_SET_THREAD_NAME,), otherwise=_ERRNO | errno.EPERM))
    program += _when(numbers["prlimit64"], _if_null(2, otherwise=_ERRNO | errno.EPERM))
    if door is not None:
        program += _when(numbers["recvmsg"], _if_one_of(0, (door,), otherwise=_KILL))
    program.append((_RETURN, 0, 0, _ERRNO | errno.ENOSYS))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(door: int | None = None) -> None:
    """Put the filter on every thread of this process, for good; see `build_filter`. `no_new_privs` must be set already.

    Raises:
        RefusedError: the machine is neither x86-64 nor 64-bit ARM, or its kernel has no seccomp filters.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise RefusedError(
            f"Private data is read on x86_64 and aarch64 Linux only; this machine is {platform.machine()}."
        )
    code = build_filter(architecture, os.getpid(), door)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(architecture.numbers["seccomp"], _SET_MODE_FILTER, _ALL_THREADS, header) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise RefusedError(f"The kernel took no seccomp filter ({reason}); nothing reads private data without one.")


def _when(number: int, block: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, len(block), number), *block]


def _if_any_bit(argument: int, bits: int, *, otherwise: int) -> list[Instruction]:
    test = [_load_low(argument), (_JUMP_ANY_BIT, 0, 1, bits)]
    return [*test, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, otherwise)]


def _if_one_of(argument: int, values: tuple[int, ...], *, otherwise: int) -> list[Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_load_low(argument), *tests, (_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, _ALLOW)]


def _if_null(argument: int, *, otherwise: int) -> list[Instruction]:
    low = [_load_low(argument), (_JUMP_EQUAL, 0, 3, 0)]
    high = [(_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument + 4), (_JUMP_EQUAL, 0, 1, 0)]
    return [*low, *high, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, otherwise)]


def _load_low(argument: int) -> Instruction:
    """Load the low half of an argument; both architectures are little-endian."""
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument)
