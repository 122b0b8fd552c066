"""Attacks on P1 through the trainer: what a malicious program, model or record can make it say, do or reveal."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import Tensor

from datasites.execution import trainer_process
from datasites.execution.trainer_messages import Load, Prepare, Prepared, Ready, Result
from datasites.execution.trainer_process import RoundResult, TrainerFailedError, TrainerProcess
from datasites.training.data import UnitData
from datasites.training.per_unit import unit_gradients
from datasites.training.prepared import PreparedProgram, prepare_program
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from policies.errors import InvalidInputError
from policies.programs.format import Program
from policies.statements.canonical import canonical_bytes
from policies.terms import Evaluation, Training
from tests.unit_arrays import UnitArrays, opened

Nodes = list[tuple[str, list[int], dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[2]
MEMORY = 4 * 2**30
SQUARE: Nodes = [
    ("linear", [1, 0], {}),
    ("select", [3], {"dim": 0, "index": 0}),
    ("mse_loss", [4, 2], {"reduction": "mean"}),
]


def document(nodes: Nodes, output: str = "loss", target: str = "float32", features: int = 3) -> dict[str, Any]:
    """Values 0 weight [1, features], 1 features, 2 target, then the nodes; the last is the output."""
    return {
        "version": "cloister-program/1",
        "inputs": [
            {"name": "weight", "kind": "parameter", "shape": [1, features], "dtype": "float32"},
            {"name": "features", "kind": "feature", "shape": [features], "dtype": "float32"},
            {"name": "target", "kind": "target", "shape": [], "dtype": target},
        ],
        "nodes": [{"op": op, "args": args, "kwargs": kwargs} for op, args, kwargs in nodes],
        "outputs": [{"name": output, "ref": 2 + len(nodes)}],
    }


def prepared(nodes: Nodes, target: str = "float32", features: int = 3) -> PreparedProgram:
    program = Program.model_validate_json(canonical_bytes(document(nodes, "loss", target, features)))
    return prepare_program(program, kind="loss", values={"weight": torch.zeros(1, features)}, memory_bytes=2**26)


def training(**changes: float) -> Training:
    values = {
        "strategy": "fedavg",
        "rounds": 1,
        "local_steps": 1,
        "retries": 0,
        "sampling_rate": 1.0,
        "noise_multiplier": 1.0,
        "clipping_norm": 1.0,
        "learning_rate": 1.0,
    }
    return Training.model_validate({**values, **changes})


def study(nodes: Nodes) -> Prepare:
    metrics: Nodes = [("select", [1], {"dim": 0, "index": 0})]
    return Prepare(
        loss=canonical_bytes(document(nodes)).decode(),
        metrics=canonical_bytes(document(metrics, "first")).decode(),
        training=training(),
        evaluation=Evaluation(models=(0,), metrics=("first",), noise_multiplier=1.0),
        parameter_count=3,
        feature_count=3,
        target="float32",
    )


def people(units: int, features: int = 3) -> UnitData:
    generator = torch.Generator().manual_seed(3)
    return UnitData(
        torch.randn((units, 1, features), generator=generator),
        torch.randn((units, 1), generator=generator),
        torch.ones((units, 1), dtype=torch.bool),
    )


def contribution(loss: PreparedProgram, data: UnitData, model: Tensor) -> Tensor:
    return unit_gradients(loss, {"weight": model}, data, 1.0)["weight"].flatten(1)


# --- a program that signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", ["nan", "inf"])
def test_a_program_cannot_turn_the_release_into_nan_when_a_certain_person_is_there(
    signal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN signalling: 0/0 or 1/0 exactly for the record whose first feature is 0.5."""
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    nodes: Nodes = [
        ("select", [1], {"dim": 0, "index": 0}),
        ("full", [], {"shape": [], "value": 0.5, "dtype": "float32"}),
        ("sub", [3, 4], {}),
        ("select", [0], {"dim": 0, "index": 0}),
        ("select", [6], {"dim": 0, "index": 0}),
        ("div", [7, 5], {}) if signal == "inf" else ("mul", [7, 5], {}),
        ("div", [8, 5], {}) if signal == "nan" else ("mul", [8, 8], {}),
    ]
    with_target, data = prepared(nodes), people(8)
    data.features[3, 0, 0] = 0.5
    change = local_training(with_target, torch.ones(3), data, training(), 8)
    assert torch.isfinite(change).all()
    rest = [0, 1, 2, 4, 5, 6, 7]
    without = UnitData(data.features[rest], data.target[rest], data.mask[rest])
    assert float((change - local_training(with_target, torch.ones(3), without, training(), 8)).norm()) <= 1 / 8 + 1e-6


def test_a_program_cannot_multiply_one_persons_share_beyond_the_bound() -> None:
    """A loss scaled by 10³⁰ for one record: its share of the sum stays at the clipping norm."""
    nodes: Nodes = [
        *SQUARE,
        ("full", [], {"shape": [], "value": 1e30, "dtype": "float32"}),
        ("mul", [5, 6], {}),
    ]
    lengths = contribution(prepared(nodes), people(8), torch.ones(1, 3)).double().norm(dim=1)
    assert float(lengths.max()) <= 1.0


def test_a_gradient_of_opposed_parts_cannot_hide_its_length() -> None:
    """Ghost-norm cancellation: huge parts of opposite sign, of which Gram matrices in float32 see a norm of 0."""
    wide = 4096
    nodes: Nodes = [
        ("linear", [1, 0], {}),
        ("select", [3], {"dim": 0, "index": 0}),
        ("full", [], {"shape": [], "value": 6e4, "dtype": "float32"}),
        ("mul", [4, 5], {}),
    ]
    data = people(4, wide)
    data.features[:, :, ::2] = 1.0
    data.features[:, :, 1::2] = -1.0
    lengths = contribution(prepared(nodes, features=wide), data, torch.ones(1, wide)).double().norm(dim=1)
    assert float(lengths.max()) <= 1.0
    assert float(lengths.min()) > 0.99


def test_one_persons_gradient_does_not_depend_on_who_else_is_in_the_batch() -> None:
    """No statistic over the batch can be written down: a program meets one record."""
    nodes: Nodes = [
        *SQUARE,
        ("softmax", [1], {"dim": 0}),
        ("mean", [6], {"dims": [], "keep": False}),
        ("mul", [5, 7], {}),
    ]
    loss, data = prepared(nodes), people(16)
    together = contribution(loss, data, torch.ones(1, 3))
    for unit in range(16):
        alone = UnitData(data.features[[unit]], data.target[[unit]], data.mask[[unit]])
        torch.testing.assert_close(contribution(loss, alone, torch.ones(1, 3))[0], together[unit])


@pytest.mark.parametrize("target", [-1, 3, 10**9, -(2**62)])
def test_a_record_cannot_raise_by_an_index_out_of_range(target: int) -> None:
    nodes: Nodes = [
        ("mul", [0, 0], {}),
        ("reshape", [3], {"shape": [3]}),
        ("cross_entropy", [4, 2], {"reduction": "mean", "label_smoothing": 0.0}),
    ]
    data = people(2)
    strange = UnitData(data.features, torch.tensor([[0], [target]]), data.mask)
    assert torch.isfinite(contribution(prepared(nodes, target="int64"), strange, torch.ones(1, 3))).all()


def test_the_trainer_flushes_denormal_numbers_to_zero(tmp_path: Path) -> None:
    """A record of denormals made products up to a hundred times slower, so time would tell who is there.

    Blown up by 10³⁸, a denormal that was not flushed would give every unit a gradient of full length.
    """
    nodes: Nodes = [
        ("full", [], {"shape": [3], "value": 1e38, "dtype": "float32"}),
        ("mul", [1, 3], {}),
        ("linear", [4, 0], {}),
        ("select", [5], {"dim": 0, "index": 0}),
    ]
    exact = study(nodes).model_copy(update={"training": training(noise_multiplier=0.1, clipping_norm=1e-3)})

    def update(value: float) -> float:
        everybody = UnitArrays(
            np.full((400, 1, 3), value, np.float32), np.zeros((400, 1), np.float32), np.ones((400, 1), bool)
        )
        nominal = Load(nominal_training_units=1, nominal_holdout_units=1)
        with (
            opened(tmp_path, everybody, everybody) as snapshot,
            TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer,
        ):
            trainer.prepare(exact, weights(), seconds=30)
            trainer.load(snapshot, nominal, seconds=30)
            result = collected(trainer.round(MODEL, trains=True, evaluates=False, seconds=30))
        return float(np.linalg.norm(result))

    assert update(1e-37) > 0.3  # smallest normal numbers are 1.2·10⁻³⁸: 400 units × 10⁻³
    assert update(1e-40) < 0.01


# --- a program that is more than a program --------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["from_file", "__import__"])
def test_the_trainer_itself_refuses_what_is_off_the_list(operation: str) -> None:
    """Even if the datasite had let it through: the trainer checks again, and no private byte had been handed over."""
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer, pytest.raises(InvalidInputError):
        trainer.prepare(study([("linear", [1, 0], {}), (operation, [3], {})]), weights(), seconds=30)


def weights() -> bytes:
    return save({"weight": np.zeros((1, 3), np.float32)})


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


# --- a trainer that lies --------------------------------------------------------------------------------------------


def frame(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "big") + len(body).to_bytes(8, "big") + header + body


READY = frame(Ready(layers=("seccomp",), refusal=None).canonical())
PREPARED = frame(Prepared(refusal=None).canonical())
RESULT = Result(metrics=0, update=3).canonical()
GOOD = np.zeros(3, np.float32)
MODEL = (GOOD.data,)


def collected(result: RoundResult) -> np.ndarray:
    return np.concatenate([block.copy() for block in result.update])


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
    monkeypatch.setattr(trainer_process, "_START", start)


@pytest.mark.parametrize(
    "answer",
    [
        frame(Result(metrics=0, update=4).canonical(), bytes(16)),
        frame(Result(metrics=0, update=2).canonical(), bytes(8)),
        frame(Result(metrics=2, update=3).canonical(), bytes(28)),
        frame(Result(metrics=2, update=0).canonical(), bytes(16)),
        frame(Result(metrics=0, update=0).canonical()),
        frame(RESULT, bytes(11)),
        frame(RESULT, bytes(13)),
        frame(RESULT, bytes(24)),
        frame(RESULT, b""),
        frame(RESULT, bytes(10**6)),
        frame(RESULT, bytes(12))[:-1],
        frame(RESULT, bytes(12)) + b"\0",
        frame(RESULT, bytes(12)) + frame(RESULT, bytes(12)),
        frame(RESULT, save({"update": GOOD})),
        frame(b'{"metrics":0,"note":"patient 7 has it","type":"result","update":3}', bytes(12)),
        frame(b'{"metrics":0,"type":"failed","update":3}', bytes(12)),
        frame(b'{"type":"result"}', bytes(12)),
        frame(RESULT.replace(b":", b": "), bytes(12)),
        frame(b"", bytes(12)),
        (2**63).to_bytes(8, "big") + (2**63).to_bytes(8, "big"),
        b"Traceback (most recent call last): patient 7",
    ],
)
def test_nothing_but_the_declared_result_is_taken_from_a_trainer_that_was_taken_over(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken_over(monkeypatch, tmp_path, READY, PREPARED, answer)
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study(SQUARE), weights(), seconds=10)
        with pytest.raises(TrainerFailedError) as caught:
            collected(trainer.round(MODEL, trains=True, evaluates=False, seconds=2))
    assert "patient" not in str(caught.value)


def test_the_declared_result_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The positive twin of the test above."""
    taken_over(monkeypatch, tmp_path, READY, PREPARED, frame(RESULT, bytes(12)))
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study(SQUARE), weights(), seconds=10)
        assert np.array_equal(collected(trainer.round(MODEL, trains=True, evaluates=False, seconds=5)), GOOD)


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
        trainer.prepare(study(SQUARE), weights(), seconds=30)
        trainer.load(snapshot, Load(nominal_training_units=2, nominal_holdout_units=2), seconds=30)
        with pytest.raises(TrainerFailedError) as caught:
            collected(trainer.round(MODEL, trains=True, evaluates=False, seconds=30))
    assert str(caught.value) == (
        "The trainer ended, or did not answer in time; it was stopped, and what was charged for stays spent."
    )
    assert capfd.readouterr() == ("", "")


def test_no_seed_makes_two_rounds_alike() -> None:
    loss, data = prepared(SQUARE), people(4)

    def round_after_seeding() -> Tensor:
        torch.manual_seed(0)
        np.random.seed(0)
        return local_training(loss, torch.zeros(3), data, training(), 4)

    assert not torch.equal(round_after_seeding(), round_after_seeding())


def fastest(loss: PreparedProgram, data: UnitData) -> float:
    best = float("inf")
    for _ in range(30):
        start = time.perf_counter()
        unit_gradients(loss, {"weight": torch.ones(1, 3)}, data, 1.0)
        best = min(best, time.perf_counter() - start)
    return best


def test_the_time_does_not_tell_how_many_were_sampled() -> None:
    """The same shapes are computed for nobody and for a full batch; times agree within the machine's noise."""
    loss, data = prepared(SQUARE), people(512)
    empty = UnitData(torch.zeros_like(data.features), torch.zeros_like(data.target), torch.zeros_like(data.mask))
    full_time, empty_time = fastest(loss, data), fastest(loss, empty)
    assert 0.5 < full_time / empty_time < 2
