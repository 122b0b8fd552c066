"""P1 when the trainer's process is taken over: what machine code in the locked-down child still cannot reach."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from datasites.execution import trainer_start
from datasites.execution.trainer_process import TrainerProcess

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 4 * 2**30
SETUP = """
import ctypes, fcntl, mmap, os, resource, signal, sys
from datasites.sandbox.lockdown import lock_down
parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
shared = os.open(sys.argv[1], os.O_RDWR)
def call(*numbers):
    if libc.syscall(*numbers) < 0:
        raise OSError(ctypes.get_errno())
def machine_code(code):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    if ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() < 0:
        raise OSError
def descriptor_signal():
    fcntl.fcntl(shared, fcntl.F_SETOWN, parent)
def limits_of_parent():
    resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))
"""
ATTACKS = {
    "read the parent's memory": "call(310, parent, buffer, 1, buffer, 1, 0)",
    "open the parent's memory file": "os.open(f'/proc/{parent}/mem', os.O_RDONLY)",
    "read the parent's environment": "open(f'/proc/{parent}/environ').read()",
    "list its own descriptors' files": "os.readlink(f'/proc/self/fd/{shared}')",
    "get a handle on the parent": "call(434, parent, 0)",
    "queue a signal to the parent": "call(129, parent, 15, buffer)",
    "signal the parent's thread": "call(234, parent, parent, 15)",
    "let a descriptor signal the parent": "descriptor_signal()",
    "change the parent's limits": "limits_of_parent()",
    "make a process by clone3": "call(435, buffer, 88)",
    "set up a ring of system calls": "call(425, 4, buffer)",
    "make a file in memory": "call(319, b'x', 0)",
    "write into a file that it inherited": "os.write(shared, b'record')",
    "grow a file that it inherited": "os.ftruncate(shared, 4096)",
    "take more memory than it was given": "bytearray(5 * 2**30)",
    "call in the 32-bit form": "machine_code(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')",
    "call in the x32 form": "machine_code(b'\\xb8\\x27\\x00\\x00\\x40\\x0f\\x05\\xc3')",
    "undo the filter": "libc.prctl(22, 0, 0) == 0 or os.abort()",
    "become visible to a debugger": "libc.prctl(4, 1, 0, 0, 0) == 0 or os.abort()",
    "mount a file system": "call(165, 0, 0, 0, 0, 0)",
}
HARMLESS = {
    "compute": "sum(range(10))",
    "run machine code of its own": "machine_code(b'\\xb8\\x27\\x00\\x00\\x00\\x0f\\x05\\xc3')",
    "take the memory it was given": "bytearray(2**30)",
}
RUN = """
for attack in ATTACKS:
    child = os.fork()
    if child == 0:
        try:
            lock_down(MEMORY)
            exec(attack)
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks name system calls of x86-64")
def test_machine_code_in_the_locked_down_child_reaches_neither_its_parent_nor_the_kernels_other_doors(
    tmp_path: Path,
) -> None:
    inherited = tmp_path / "inherited"
    inherited.write_bytes(bytes(8192))
    tried = [*HARMLESS.values(), *ATTACKS.values()]
    code = SETUP + f"ATTACKS, MEMORY = {tried!r}, {MEMORY}\n" + RUN
    done = subprocess.run(
        [sys.executable, "-c", code, str(inherited)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"OPENBLAS_NUM_THREADS": "1"},
        timeout=120,
    )
    statuses = [int(line) for line in done.stdout.split()]
    assert statuses[: len(HARMLESS)] == [0] * len(HARMLESS)
    escaped = [name for name, status in zip(ATTACKS, statuses[len(HARMLESS) :], strict=True) if status == 0]
    assert escaped == []
    assert inherited.read_bytes() == bytes(8192)


REPORTS = (
    "import os, re, sys\n"
    "door = int(sys.argv[3])  # through which the data comes once a round is charged, and nothing else\n"
    "held = [number for number in range(3, 200) if number != door and os.path.exists(f'/proc/self/fd/{number}')]\n"
    "here = [f'fd-{number}' for number in held]\n"
    "told = [f'env-{name.lower()}' for name in os.environ if 'secret' in name.lower()]\n"
    "place = ['folder-' + ('root' if os.getcwd() == '/' else 'other')]\n"
    "header = ('{\"layers\":[' + ','.join('\"' + it.replace('_', '-') + '\"' for it in here + told + place)"
    ' + \'],"refusal":null,"type":"ready"}\').encode()\n'
    "os.write(1, len(header).to_bytes(8, 'big') + bytes(8) + header)\n"
    "sys.stdin.read()\n"
)


def test_a_trainer_inherits_no_open_file_no_environment_and_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The datasite has its keys and database open, and perhaps a password in its environment."""
    secret = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(secret, True)
    monkeypatch.setenv("SECRET_PASSWORD", "hunter2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer_start, "_START", REPORTS)
    try:
        with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
            assert trainer.layers == ("folder-root",)
    finally:
        os.close(secret)
