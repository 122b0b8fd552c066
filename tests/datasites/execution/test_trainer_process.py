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

from datasites.execution import trainer_start
from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from policies.errors import ConflictError, InvalidInputError, RefusedError
from tests.record_forms import columns, data_size
from tests.unit_arrays import UnitArrays, opened

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
    snapshot: int,
) -> None:
    assert {"resource-limits", "no-new-privileges", "seccomp"} <= set(trainer.layers)
    with pytest.raises(ConflictError, match="prepare"):
        trainer.round(ZEROS, number=1, trains=True, evaluates=False, seconds=1)
    trainer.prepare(study, (parameters,), len(parameters), seconds=30)
    trainer.load(snapshot, None, seconds=30)

    first = trainer.round(ZEROS, number=1, trains=True, evaluates=False, seconds=30)
    assert first.metrics is None
    update = np.concatenate([block.copy() for block in first.update])
    assert update.shape == (3,)
    assert update[0] > 0.5  # it learnt that the first feature decides
    assert np.abs(update[1:]).max() < 0.5 * update[0]

    model = update.astype(np.float32).tobytes()
    both = trainer.round((model[:1], model[1:7], b"", model[7:]), number=1, trains=True, evaluates=True, seconds=30)
    assert both.metrics is not None
    assert sum(block.size for block in both.update) == 3
    assert both.layers == trainer.layers
    np.testing.assert_allclose(both.metrics, [50, 50], atol=8)  # σ(0) = ½ on each of 100 units, noise 1

    last = trainer.round(ZEROS, number=2, trains=False, evaluates=True, seconds=30)
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
    with pytest.raises(InvalidInputError, match=r"float32 \[9\]"):
        trainer.prepare(
            study.model_copy(update={"record": columns(9, "float32")}), (parameters,), len(parameters), seconds=30
        )
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
        (door,) = [target for target in targets if target.startswith("socket:")]
        assert all(target.startswith("pipe:") or target in ("/dev/null", door) for target in targets), targets
        pid = process_id(trainer)
        assert os.getsid(pid) == pid
    os.close(secret)
    assert not is_running(pid)
    with pytest.raises(ConflictError, match="not running"):
        trainer.prepare(study, (), 0, seconds=1)


def test_a_round_past_its_deadline_is_stopped(
    trainer: TrainerProcess,
    study: Prepare,
    parameters: bytes,
    snapshot: int,
) -> None:
    endless = study.training.model_copy(update={"local_steps": 10_000})
    trainer.prepare(study.model_copy(update={"training": endless}), (parameters,), len(parameters), seconds=30)
    trainer.load(snapshot, None, seconds=30)
    child, start = process_id(trainer), time.monotonic()
    with pytest.raises(TrainerFailedError, match="in time"):
        trainer.round(ZEROS, number=1, trains=True, evaluates=False, seconds=0.5)
    assert time.monotonic() - start < 5
    assert not is_running(child)


@pytest.mark.parametrize("thread_of_its_own", [False, True])
def test_a_computing_child_ends_when_the_datasite_is_killed(
    tmp_path: Path, thread_of_its_own: bool, study: Prepare, parameters: bytes, snapshot: int
) -> None:
    (tmp_path / "study.json").write_bytes(
        study.model_copy(update={"training": study.training.model_copy(update={"local_steps": 10_000})}).canonical()
    )
    (tmp_path / "parameters").write_bytes(parameters)
    code = f"""
import sys, threading, numpy as np
from pathlib import Path
from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
folder = Path({str(tmp_path)!r})
trainer = TrainerProcess(memory_bytes={MEMORY}, start_seconds=60)
if {thread_of_its_own}:
    starter = threading.Thread(target=trainer.__enter__); starter.start(); starter.join()
else:
    trainer.__enter__()
study = Prepare.model_validate_json((folder / "study.json").read_bytes())
trainer.prepare(study, ((folder / "parameters").read_bytes(),), len((folder / "parameters").read_bytes()), seconds=30)
with (folder / "units.snapshot").open("rb") as file:
    trainer.load(file.fileno(), None, seconds=30)
print(trainer._process.pid, flush=True)
trainer.round((bytes(12),), number=1, trains=True, evaluates=False, seconds=300)
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
    monkeypatch.setattr(trainer_start, "_START", broken + trainer_start._START)
    with pytest.raises(RefusedError, match="mips"), TrainerProcess(memory_bytes=MEMORY, start_seconds=60):
        pass


def test_a_file_that_could_be_written_to_or_is_no_snapshot_is_not_taken(
    study: Prepare, parameters: bytes, snapshot: int, tmp_path: Path
) -> None:
    units = tmp_path / "units.snapshot"
    (tmp_path / "other").write_bytes(units.read_bytes()[:-1])
    for path, mode in ((units, "r+b"), (tmp_path / "other", "rb")):
        with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer, path.open(mode) as file:
            trainer.prepare(study, (parameters,), len(parameters), seconds=30)
            with pytest.raises(TrainerFailedError, match="ended"):
                trainer.load(file.fileno(), None, seconds=30)


def test_data_is_handed_over_once_and_the_door_is_shut(
    trainer: TrainerProcess, study: Prepare, parameters: bytes, snapshot: int
) -> None:
    trainer.prepare(study, (parameters,), len(parameters), seconds=30)
    trainer.load(snapshot, None, seconds=30)
    targets = [entry.readlink().name for entry in Path(f"/proc/{process_id(trainer)}/fd").iterdir()]
    assert "units.snapshot" in targets
    assert not any(target.startswith("socket:") for target in targets)
    with pytest.raises(ConflictError, match="already"):
        trainer.load(snapshot, None, seconds=30)


def test_a_file_cut_off_while_it_is_used_ends_the_trainer(
    trainer: TrainerProcess, study: Prepare, parameters: bytes, snapshot: int, tmp_path: Path
) -> None:
    trainer.prepare(study, (parameters,), len(parameters), seconds=30)
    trainer.load(snapshot, None, seconds=30)
    os.truncate(tmp_path / "units.snapshot", 1000)
    with pytest.raises(TrainerFailedError, match="ended"):
        trainer.round(np.zeros(3, np.float32), number=1, trains=True, evaluates=False, seconds=30)


def peak_bytes(process: int) -> int:
    (line,) = [it for it in Path(f"/proc/{process}/status").read_text().splitlines() if it.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def test_a_trainer_needs_far_less_memory_than_its_data_have(
    trainer: TrainerProcess, study: Prepare, parameters: bytes, tmp_path: Path
) -> None:
    units = 200_000
    ones = np.broadcast_to(np.float32(1), (units, 200, 3))
    many = UnitArrays(ones, ones[..., 0], np.broadcast_to(np.True_, (units, 200)))
    few = UnitArrays(ones[:100], ones[:100, :, 0], many.mask[:100])
    one_step = study.training.model_copy(update={"local_steps": 1, "sampling_rate": 0.1, "noise_multiplier": 0.1})
    with opened(tmp_path, many, few) as descriptor:
        size = os.fstat(descriptor).st_size
        trainer.prepare(
            study.model_copy(update={"training": one_step, "size": data_size(units, 100, 200)}),
            (parameters,),
            len(parameters),
            seconds=30,
        )
        before = peak_bytes(process_id(trainer))
        trainer.load(descriptor, None, seconds=30)
        done = trainer.round(np.zeros(3, np.float32), number=1, trains=True, evaluates=True, seconds=120)
        grown = peak_bytes(process_id(trainer)) - before
    assert done.update is not None
    assert size > 600 * 2**20
    assert grown < 200 * 2**20, f"{grown / 2**20:.0f} MiB for {size / 2**20:.0f} MiB of data"
