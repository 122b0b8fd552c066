"""Attacks on P1 by a trainer that was taken over: what it reaches, what is taken from it, and what its end tells."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from datasites.execution import trainer_start
from datasites.execution.trainer_messages import Prepared, Ready, Result
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from policies.errors import InvalidInputError
from tests.attacks.crafted_study import MEMORY, MODEL, SQUARE, ZEROS, collected, study, weights
from tests.unit_arrays import UnitArrays, opened

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("operation", ["from_file", "__import__"])
def test_the_trainer_itself_refuses_what_is_off_the_list(operation: str) -> None:
    """Even if the datasite had let it through: the trainer checks again, and no private byte had been handed over."""
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer, pytest.raises(InvalidInputError):
        trainer.prepare(study([("linear", [1, 0], {}), (operation, [3], {})]), (weights(),), len(weights()), seconds=30)


ESCAPES = (
    "open(key).read()",
    "open('/etc/passwd').read()",
    "os.stat(key)",
    "open('/dev/shm/leak', 'w')",
    "socket.socket()",
    "os.fork()",
    "os.execv('/bin/sh', ['sh'])",
    "os.kill(os.getppid(), 9)",
    "ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)",
    "torch.ops.load_library(key)",
    "torch.from_file(key, size=1)",
    "np.memmap(key)",
    "ctypes.CDLL(key)",
    "__import__('http.server')",
    "os.write(data, b'x')",
    "os.ftruncate(data, 0)",
    "os.fchmod(data, 0o600)",
    "os.open(f'/proc/self/fd/{data}', os.O_RDWR)",
    "mmap.mmap(data, 7, mmap.MAP_SHARED, mmap.PROT_WRITE)",
    "door.recvmsg(1)",
)


def test_code_that_broke_out_of_the_interpreter_finds_a_bare_process(tmp_path: Path) -> None:
    """As if a program had taken the trainer over: its own start and lockdown, then the attacker's Python."""
    key = tmp_path / "key.pem"
    key.write_text("private")
    code = f"""
import ctypes, mmap, os, socket, sys
import numpy as np, torch
from datasites.training.rehearsal import rehearse
from datasites.sandbox.lockdown import lock_down
key = {str(key)!r}
data = os.open(key, os.O_RDONLY)  # as the snapshot is handed over
other, door = socket.socketpair()
other.send(b"x")
torch.set_num_threads(1)
rehearse()
def escape(attack):
    lock_down({MEMORY})
    eval(attack)
for attack in ("1 + 1", *{ESCAPES!r}):
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = os.fdopen(os.dup(2), "w")
        try:
            escape(attack)
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    harmless, *statuses = [int(line) for line in done.stdout.splitlines()]
    assert harmless == 0
    assert len(statuses) == len(ESCAPES)
    assert [attack for attack, status in zip(ESCAPES, statuses, strict=True) if status == 0] == []
    assert "private" not in done.stderr
    assert key.read_text() == "private"
    assert not Path("/dev/shm/leak").exists()  # noqa: S108


def frame(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "big") + len(body).to_bytes(8, "big") + header + body


READY = frame(Ready(layers=("seccomp",), refusal=None).canonical())
PREPARED = frame(Prepared(refusal=None, cache_bytes=0).canonical())
RESULT = Result(metrics=0, update=3).canonical()


def taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *answers: bytes) -> None:
    """Replace the trainer by a process that says the first of `answers` at once, each other one when it is asked."""
    paths = [tmp_path / str(number) for number in range(len(answers))]
    for path, answer in zip(paths, answers, strict=True):
        path.write_bytes(answer)
    start = f"""
import os, sys, time
for number, path in enumerate({[str(path) for path in paths]!r}):
    answer = open(path, "rb").read()
    if number:
        header, body = (int.from_bytes(sys.stdin.buffer.read(8), "big") for _ in range(2))
        sys.stdin.buffer.read(header + body)
    while answer:
        answer = answer[os.write(1, answer):]
time.sleep(60)
"""
    monkeypatch.setattr(trainer_start, "_START", start)


@pytest.mark.parametrize(
    "answer",
    [
        frame(Result(metrics=0, update=4).canonical(), bytes(32)),
        frame(Result(metrics=0, update=2).canonical(), bytes(16)),
        frame(Result(metrics=2, update=3).canonical(), bytes(40)),
        frame(Result(metrics=2, update=0).canonical(), bytes(16)),
        frame(Result(metrics=0, update=0).canonical()),
        frame(RESULT, bytes(23)),
        frame(RESULT, bytes(25)),
        frame(RESULT, bytes(12)),
        frame(RESULT, b""),
        frame(RESULT, bytes(10**6)),
        frame(RESULT, bytes(24))[:-1],
        frame(RESULT, bytes(24)) + b"\0",
        frame(RESULT, bytes(24)) + frame(RESULT, bytes(24)),
        frame(RESULT, save({"update": ZEROS})),
        frame(b'{"metrics":0,"note":"patient 7 has it","type":"result","update":3}', bytes(24)),
        frame(b'{"metrics":0,"type":"failed","update":3}', bytes(24)),
        frame(b'{"type":"result"}', bytes(24)),
        frame(RESULT.replace(b":", b": "), bytes(24)),
        frame(b"", bytes(24)),
        (2**63).to_bytes(8, "big") + (2**63).to_bytes(8, "big"),
        b"Traceback (most recent call last): patient 7",
    ],
)
def test_nothing_but_the_declared_result_is_taken_from_a_trainer_that_was_taken_over(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken_over(monkeypatch, tmp_path, READY, PREPARED, answer)
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study(SQUARE), (weights(),), len(weights()), seconds=10)
        with pytest.raises(TrainerFailedError) as caught:
            collected(trainer.round(MODEL, number=1, trains=True, evaluates=False, seconds=2))
    assert "patient" not in str(caught.value)


def test_the_declared_result_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The positive twin of the test above."""
    taken_over(monkeypatch, tmp_path, READY, PREPARED, frame(RESULT, bytes(24)))
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study(SQUARE), (weights(),), len(weights()), seconds=10)
        assert np.array_equal(collected(trainer.round(MODEL, number=1, trains=True, evaluates=False, seconds=5)), ZEROS)


def test_a_trainer_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken_over(monkeypatch, tmp_path)
    start = time.monotonic()
    with pytest.raises(TrainerFailedError), TrainerProcess(memory_bytes=MEMORY, start_seconds=0.5):
        pass
    assert time.monotonic() - start < 5


def test_a_failure_after_the_data_is_in_crosses_as_one_opaque_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Data that the loss was not made for makes the trainer fail: neither values nor the kind of error come out."""
    telling = UnitArrays(
        np.full((2, 1, 7), 1234.5, np.float32), np.full((2, 1), 1234.5, np.float32), np.ones((2, 1), bool)
    )
    with (
        opened(tmp_path, telling, telling) as snapshot,
        TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer,
    ):
        trainer.prepare(study(SQUARE), (weights(),), len(weights()), seconds=30)
        trainer.load(snapshot, None, seconds=30)
        with pytest.raises(TrainerFailedError) as caught:
            collected(trainer.round(MODEL, number=1, trains=True, evaluates=False, seconds=30))
    assert str(caught.value) == (
        "The trainer ended, or did not answer in time; it was stopped, and what was charged for stays spent."
    )
    assert capfd.readouterr() == ("", "")
