"""Seccomp: a filter over system calls that allows a short list and refuses everything else."""

import ctypes
import os
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from datasites.sandbox.system_calls import ARCHITECTURES, Architecture
from policies.errors import RefusedError

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_FIRST_X32_CALL = 0x40000000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_NO_SUCH_CALL = 38

ALLOW, KILL = 0x7FFF0000, 0x80000000

Instruction = tuple[int, int, int, int]


def refuse(error: int) -> int:
    """The answer by which a call fails with `error` (of `errno`) and does nothing."""
    return 0x00050000 | error


@dataclass(frozen=True)
class ArgumentTest:
    """A look at a call's arguments: it goes on past the code if it passes, and reaches the code's end if not."""

    code: tuple[Instruction, ...]


def any_bit(argument: int, bits: int) -> ArgumentTest:
    """Whether the low half of an argument has any of these bits."""
    return ArgumentTest((_load_low(argument), (_JUMP_ANY_BIT, 1, 0, bits)))


def one_of(argument: int, *values: int) -> ArgumentTest:
    """Whether the low half of an argument is one of these."""
    tests = [(_JUMP_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return ArgumentTest((_load_low(argument), *tests))


def null(argument: int) -> ArgumentTest:
    """Whether an argument, all of it, is 0."""
    high = (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument + 4)
    return ArgumentTest((_load_low(argument), (_JUMP_EQUAL, 0, 2, 0), high, (_JUMP_EQUAL, 1, 0, 0)))


@dataclass(frozen=True)
class Rules:
    """What a process may call. Whatever is named nowhere does not exist for it (ENOSYS).

    `answers`: names of calls, and what they get. `conditions`: calls that are allowed if all tests pass, and what
    they get if not.
    """

    answers: tuple[tuple[tuple[str, ...], int], ...]
    conditions: Mapping[str, tuple[tuple[ArgumentTest, ...], int]]


def build_filter(architecture: Architecture, rules: Rules) -> bytes:
    """The classic-BPF program of `rules`, as the kernel's array of `sock_filter`.

    A call in the form of a foreign architecture, or of x32, kills the process.
    """
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _FIRST_X32_CALL),
        (_RETURN, 0, 0, KILL),
    ]
    numbers = architecture.numbers
    for names, answer in rules.answers:
        for name in names:
            if name in numbers:
                program += _when(numbers[name], [(_RETURN, 0, 0, answer)])
    for name, (tests, otherwise) in rules.conditions.items():
        block: list[Instruction] = []
        for test in tests:
            block += [*test.code, (_RETURN, 0, 0, otherwise)]
        program += _when(numbers[name], [*block, (_RETURN, 0, 0, ALLOW)])
    program.append((_RETURN, 0, 0, refuse(_NO_SUCH_CALL)))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def compiled(rules: Rules) -> bytes:
    """The filter of `rules` for this machine.

    Raises:
        RefusedError: the machine is neither x86-64 nor 64-bit ARM.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise RefusedError(
            f"Private data is read on x86_64 and aarch64 Linux only; this machine is {platform.machine()}."
        )
    return build_filter(architecture, rules)


def install(code: bytes) -> None:
    """Put a compiled filter on every thread of this process, for good. `no_new_privs` must be set already.

    Raises:
        RefusedError: the kernel has no seccomp filters.
    """
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    number = ARCHITECTURES[platform.machine()].numbers["seccomp"]
    if library.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, header) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise RefusedError(f"The kernel took no seccomp filter ({reason}); nothing reads private data without one.")


def _when(number: int, block: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, len(block), number), *block]


def _load_low(argument: int) -> Instruction:
    """Load the low half of an argument; both architectures are little-endian."""
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument)
