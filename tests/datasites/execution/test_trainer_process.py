"""The trainer as the datasite runs it: a real child process, from its start to its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from datasites.catalog.arrays import UnitArrays
from datasites.execution import trainer_process
from datasites.execution.trainer_messages import Load, Prepare
from datasites.execution.trainer_process import TrainerFailedError, TrainerProcess
from policies.errors import ConflictError, InvalidInputError, RefusedError

MEMORY = 4 * 2**30
ROOT = Path(__file__).resolve().parents[3]
ZEROS = (bytes(12),)


@pytest.fixture
def trainer() -> Iterator[TrainerProcess]:
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as running:
        yield running


def process_id(trainer: TrainerProcess) -> int:
    process = trainer._process
    assert process is not None
    return process.pid


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_study_from_its_first_round_to_its_last(
    trainer: TrainerProcess,
    study: Prepare,
    parameters: bytes,
    training_data: UnitArrays,
    holdout_data: UnitArrays,
    nominal: Load,
) -> None:
    assert {"resource-limits", "no-new-privileges", "seccomp"} <= set(trainer.layers)
    with pytest.raises(ConflictError, match="prepare"):
        trainer.round(ZEROS, trains=True, evaluates=False, seconds=1)
    trainer.prepare(study, parameters, seconds=30)
    trainer.load(training_data, holdout_data, nominal, seconds=30)

    first = trainer.round(ZEROS, trains=True, evaluates=False, seconds=30)
    assert first.metrics is None
    update = np.concatenate([block.copy() for block in first.update])
    assert update.shape == (3,)
    assert update[0] > 0.5  # it learnt that the first feature decides
    assert np.abs(update[1:]).max() < 0.5 * update[0]

    model = update.tobytes()
    both = trainer.round((model[:1], model[1:7], b"", model[7:]), trains=True, evaluates=True, seconds=30)
    assert both.metrics is not None
    assert sum(block.size for block in both.update) == 3
    np.testing.assert_allclose(both.metrics, [50, 50], atol=8)  # σ(0) = ½ on each of 100 units, noise 1

    last = trainer.round(ZEROS, trains=False, evaluates=True, seconds=30)
    assert list(last.update) == []
    assert last.metrics is not None
    assert not np.array_equal(last.metrics, both.metrics)


def test_the_datasites_own_process_never_imports_torch() -> None:
    code = (
        "import sys, datasites.execution.trainer_process as t\n"
        "with t.TrainerProcess(memory_bytes=4 * 2**30, start_seconds=60): pass\n"
        "assert not {'torch', 'opacus', 'syft'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_study_that_does_not_fit_is_refused_with_its_reason_and_the_trainer_ended(
    trainer: TrainerProcess, study: Prepare, parameters: bytes
) -> None:
    child = process_id(trainer)
    with pytest.raises(InvalidInputError, match="9 features"):
        trainer.prepare(study.model_copy(update={"feature_count": 9}), parameters, seconds=30)
    assert not is_running(child)


def test_the_child_inherits_neither_environment_nor_files_nor_directory_and_ends_when_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, study: Prepare
) -> None:
    monkeypatch.setenv("OWNER_PASSPHRASE", "hunter2")
    monkeypatch.chdir(tmp_path)
    secret = os.open(tmp_path / "key.pem", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(secret, True)
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer:
        child = Path(f"/proc/{process_id(trainer)}")
        assert b"hunter2" not in (child / "environ").read_bytes()
        assert (child / "cwd").readlink() == Path("/")
        targets = [str(entry.readlink()) for entry in (child / "fd").iterdir()]
        assert all(target.startswith("pipe:") or target == "/dev/null" for target in targets), targets
        pid = process_id(trainer)
        assert os.getsid(pid) == pid
    os.close(secret)
    assert not is_running(pid)
    with pytest.raises(ConflictError, match="not running"):
        trainer.prepare(study, b"", seconds=1)


def test_a_round_past_its_deadline_is_stopped(
    trainer: TrainerProcess,
    study: Prepare,
    parameters: bytes,
    training_data: UnitArrays,
    holdout_data: UnitArrays,
    nominal: Load,
) -> None:
    endless = study.training.model_copy(update={"local_steps": 10_000})
    trainer.prepare(study.model_copy(update={"training": endless}), parameters, seconds=30)
    trainer.load(training_data, holdout_data, nominal, seconds=30)
    child, start = process_id(trainer), time.monotonic()
    with pytest.raises(TrainerFailedError, match="in time"):
        trainer.round(ZEROS, trains=True, evaluates=False, seconds=0.5)
    assert time.monotonic() - start < 5
    assert not is_running(child)


@pytest.mark.parametrize("thread_of_its_own", [False, True])
def test_a_computing_child_ends_when_the_datasite_is_killed(
    tmp_path: Path, thread_of_its_own: bool, study: Prepare, parameters: bytes
) -> None:
    (tmp_path / "study.json").write_bytes(
        study.model_copy(update={"training": study.training.model_copy(update={"local_steps": 10_000})}).canonical()
    )
    (tmp_path / "parameters").write_bytes(parameters)
    code = f"""
import sys, threading, numpy as np
from pathlib import Path
from datasites.catalog.arrays import UnitArrays
from datasites.execution.trainer_messages import Load, Prepare
from datasites.execution.trainer_process import TrainerProcess
folder = Path({str(tmp_path)!r})
trainer = TrainerProcess(memory_bytes={MEMORY}, start_seconds=60)
if {thread_of_its_own}:
    starter = threading.Thread(target=trainer.__enter__); starter.start(); starter.join()
else:
    trainer.__enter__()
study = Prepare.model_validate_json((folder / "study.json").read_bytes())
trainer.prepare(study, (folder / "parameters").read_bytes(), seconds=30)
data = UnitArrays(np.ones((400, 2, 3), np.float32), np.ones((400, 2), np.float32), np.ones((400, 2), bool))
trainer.load(data, data, Load(nominal_training_units=400, nominal_holdout_units=400), seconds=30)
print(trainer._process.pid, flush=True)
trainer.round((bytes(12),), trains=True, evaluates=False, seconds=300)
"""
    datasite = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert datasite.stdout is not None
    child = int(datasite.stdout.readline())
    time.sleep(0.5)
    assert is_running(child)
    os.kill(datasite.pid, signal.SIGKILL)
    datasite.wait()
    datasite.stdout.close()
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def test_a_machine_that_cannot_lock_the_child_down_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import platform; platform.machine = lambda: 'mips'; "
    monkeypatch.setattr(trainer_process, "_START", broken + trainer_process._START)
    with pytest.raises(RefusedError, match="mips"), TrainerProcess(memory_bytes=MEMORY, start_seconds=60):
        pass


def test_a_child_without_enough_memory_fails_and_says_nothing_more(
    study: Prepare, parameters: bytes, holdout_data: UnitArrays, nominal: Load
) -> None:
    many = UnitArrays(
        np.zeros((3_000_000, 2, 3), np.float32), np.zeros((3_000_000, 2), np.float32), np.ones((3_000_000, 2), bool)
    )
    with TrainerProcess(memory_bytes=1100 * 2**20, start_seconds=60) as trainer:
        trainer.prepare(study, parameters, seconds=30)
        with pytest.raises(TrainerFailedError, match="ended"):
            trainer.load(many, holdout_data, nominal, seconds=30)
