"""The seccomp program, run instruction by instruction for both architectures."""

import errno
import struct

import pytest

from datasites.sandbox.call_rules import COMPUTING, FATAL, FILES, job_rules, trainer_rules
from datasites.sandbox.seccomp import Rules, build_filter
from datasites.sandbox.system_calls import AARCH64, ARCHITECTURES, X86_64, Architecture

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
PROCESS = 4711
TRAINER, JOB = trainer_rules(PROCESS), job_rules(PROCESS)
BOTH = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())


def verdict(
    architecture: Architecture, number: int, *arguments: int, audit: int | None = None, rules: Rules = TRAINER
) -> int:
    """What the kernel's interpreter of classic BPF would answer (linux/bpf_common.h)."""
    data = struct.pack("<IIQ6Q", number, audit or architecture.audit, 0, *arguments, *[0] * (6 - len(arguments)))
    code = build_filter(architecture, rules)
    program = [struct.unpack_from("=HBBI", code, offset) for offset in range(0, len(code), 8)]
    place, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = program[place]
        place += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x15:
                place += if_true if accumulator == value else if_false
            case 0x35:
                place += if_true if accumulator >= value else if_false
            case 0x45:
                place += if_true if accumulator & value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


@BOTH
def test_each_named_call_gets_its_answer(architecture: Architecture) -> None:
    for names, answer in ((COMPUTING, ALLOW), (FILES, ERRNO | errno.EACCES), (FATAL, KILL)):
        for name in names:
            if name in architecture.numbers:
                assert verdict(architecture, architecture.numbers[name]) == answer, name


@BOTH
@pytest.mark.parametrize("rules", [TRAINER, JOB], ids=["trainer", "job"])
def test_no_call_is_in_two_lists_and_every_other_number_does_not_exist(
    architecture: Architecture, rules: Rules
) -> None:
    named = [*rules.conditions, *(name for names, _ in rules.answers for name in names)]
    assert len(named) == len(set(named))
    assert set(named) <= {*X86_64.numbers, *AARCH64.numbers}
    numbers = {architecture.numbers[name] for name in named if name in architecture.numbers}
    for number in range(600):
        if number not in numbers:
            assert verdict(architecture, number, rules=rules) == ERRNO | errno.ENOSYS, number


@BOTH
def test_a_job_locks_nothing_and_asks_for_all_else_as_before(architecture: Architecture) -> None:
    fcntl = architecture.numbers["fcntl"]
    for command in (6, 7, 37, 38):
        assert verdict(architecture, fcntl, 0, command, rules=JOB) == ERRNO
    assert verdict(architecture, architecture.numbers["flock"], 0, 2, rules=JOB) == ERRNO
    assert verdict(architecture, fcntl, 6, 5, rules=JOB) == ALLOW  # only asked
    assert verdict(architecture, fcntl, 6, 1024, rules=JOB) == ERRNO | errno.EPERM  # a lease


@BOTH
def test_a_jobs_threads_share_their_open_files(architecture: Architecture) -> None:
    clone = architecture.numbers["clone"]
    assert verdict(architecture, clone, 0x3D0F00, rules=JOB) == ALLOW
    assert verdict(architecture, clone, 0x3D0F00 & ~0x400, rules=JOB) == ERRNO | errno.EPERM


@BOTH
def test_a_foreign_architecture_kills(architecture: Architecture) -> None:
    other = AARCH64 if architecture is X86_64 else X86_64
    assert verdict(architecture, architecture.numbers["read"], audit=other.audit) == KILL
    assert verdict(architecture, architecture.numbers["read"], audit=0x40000003) == KILL  # 32-bit x86


def test_the_x32_form_of_an_allowed_call_kills() -> None:
    assert verdict(X86_64, 0x40000000 | X86_64.numbers["read"]) == KILL


@BOTH
def test_threads_may_be_made_and_processes_not(architecture: Architecture) -> None:
    clone = architecture.numbers["clone"]
    assert verdict(architecture, clone, 0x3D0F00) == ALLOW  # what pthread_create asks for
    assert verdict(architecture, clone, 17) == KILL  # SIGCHLD: fork
    assert verdict(architecture, clone, 0x01200011) == KILL


@BOTH
def test_signals_go_to_itself_only(architecture: Architecture) -> None:
    assert verdict(architecture, architecture.numbers["tgkill"], PROCESS, PROCESS, 6) == ALLOW
    assert verdict(architecture, architecture.numbers["tgkill"], 1, 1, 9) == KILL


@BOTH
def test_limits_may_be_read_and_not_changed(architecture: Architecture) -> None:
    prlimit = architecture.numbers["prlimit64"]
    assert verdict(architecture, prlimit, 0, 9, 0, 0x7FFF0000) == ALLOW
    for pointer in (0x1000, 0x7FFF_0000_0000, 0x1_0000_0000):
        assert verdict(architecture, prlimit, 0, 9, pointer, 0) == ERRNO | errno.EPERM


@BOTH
def test_descriptors_may_be_marked_and_not_made_to_signal_others(architecture: Architecture) -> None:
    numbers = architecture.numbers
    assert verdict(architecture, numbers["fcntl"], 1, 3) == ALLOW
    for command in (8, 10, 1024, 1033):  # set owner, set signal, set lease, add seals
        assert verdict(architecture, numbers["fcntl"], 1, command) == ERRNO | errno.EPERM
    assert verdict(architecture, numbers["ioctl"], 0, 0x5401) == ALLOW
    assert verdict(architecture, numbers["ioctl"], 0, 0x5412) == ERRNO | errno.EPERM  # TIOCSTI
    assert verdict(architecture, numbers["prctl"], 15) == ALLOW
    assert verdict(architecture, numbers["prctl"], 4, 1) == ERRNO | errno.EPERM  # dumpable again


@BOTH
def test_a_job_makes_threads_and_pairs_of_sockets_and_neither_processes_nor_other_sockets(
    architecture: Architecture,
) -> None:
    numbers = architecture.numbers
    unix, stream, datagram, close_on_exec = 1, 1, 2, 0o2000000

    def answer(name: str, *arguments: int) -> int:
        return verdict(architecture, numbers[name], *arguments, rules=JOB)

    assert answer("clone", 0x3D0F00) == ALLOW
    assert answer("clone", 17) == answer("clone", 0x4111) == ERRNO | errno.EPERM  # fork, and as posix_spawn asks
    assert answer("clone3") == ERRNO | errno.ENOSYS
    assert answer("execve") == answer("execveat") == ERRNO | errno.EACCES
    assert answer("socketpair", unix, stream | close_on_exec) == ALLOW
    assert answer("socketpair", unix, datagram) == answer("socketpair", 2, stream) == ERRNO | errno.EACCES
    for family in range(50):
        assert answer("socket", family, stream) == ERRNO | errno.EACCES
    assert answer("sendto", 4, 0x1000, 1, 0, 0) == ALLOW
    assert answer("sendto", 4, 0x1000, 1, 0, 0x7FFF_0000_0000) == ERRNO | errno.EACCES


@BOTH
def test_a_job_signals_and_looks_at_nobody_else(architecture: Architecture) -> None:
    for name in ("kill", "tgkill"):
        assert verdict(architecture, architecture.numbers[name], PROCESS, PROCESS, rules=JOB) == ALLOW
        for other in (0, 1, PROCESS + 1, 2**32 - 1):
            assert verdict(architecture, architecture.numbers[name], other, rules=JOB) == ERRNO | errno.EPERM
    for name in (
        "ptrace",
        "process_vm_readv",
        "pidfd_open",
        "tkill",
        "mount",
        "unshare",
        "bpf",
        "memfd_create",
        "kcmp",
    ):
        assert verdict(architecture, architecture.numbers[name], rules=JOB) == ERRNO | errno.EPERM


def test_the_x32_form_and_foreign_architectures_kill_a_job() -> None:
    assert verdict(X86_64, 0x40000000 | X86_64.numbers["read"], rules=JOB) == KILL
    assert verdict(X86_64, X86_64.numbers["read"], audit=0x40000003, rules=JOB) == KILL
