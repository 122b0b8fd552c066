"""Real processes, started by torchrun as on two machines, train what one process with all units trains."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from datasites.catalog.shards import write_shards
from datasites.protocol.private_files import write_private_file
from datasites.training.distributed import DistributedRound, _mark_started, main
from datasites.training.study import prepare_study
from datasites.training.trainer import local_training
from datasites.training.unit_file import open_units
from policies.errors import ConflictError, InvalidInputError
from policies.training_choices import Sgd
from tests.attacks.crafted_study import SQUARE, study, training
from tests.record_forms import data_size
from tests.unit_arrays import UnitArrays, write_units

ROOT = Path(__file__).resolve().parents[3]
UNITS = 41
PARAMETERS = save({"weight": np.zeros((1, 3), np.float32)})
MODEL = np.array([0.1, -0.2, 0.3], np.float32)
EXACT = study(SQUARE).model_copy(
    update={
        "size": data_size(40, 40, 2),
        "training": training(noise_multiplier=0.0, local_steps=3, learning_rate=0.25, optimizer=Sgd(momentum=0.5)),
    }
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The files of one round, two shards and a secret."""
    random = np.random.default_rng(11)
    features = random.normal(size=(UNITS, 2, 3)).astype(np.float32)
    people = UnitArrays(features, features[..., 0] + 1, np.ones((UNITS, 2), bool))
    snapshot = write_units(tmp_path / "whole.snapshot", people, people)
    write_shards(snapshot, 2, tmp_path / "shards")
    todo = DistributedRound(
        number=1,
        threads=1,
        memory_bytes=2**32,
        seconds=100,
    )
    (tmp_path / "study").mkdir()
    for name, content in {
        "study/study.json": EXACT.canonical(),
        "study/parameters": PARAMETERS,
        "study/model": MODEL.tobytes(),
        "study/round.json": todo.canonical(),
        "secret": os.urandom(32),
    }.items():
        write_private_file(tmp_path / name, content)
    return tmp_path


def test_two_workers_train_what_one_process_does(site: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "datasites.training.distributed", "study", "shards", "secret", "update"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with (site / "whole.snapshot").open("rb") as whole:
        units, _ = open_units(whole.fileno())
        loss = prepare_study(EXACT, PARAMETERS, 2**30, 0).loss
        alone = local_training(loss, torch.from_numpy(MODEL), units, EXACT.training, 40, 1)
    assert float(alone.norm()) > 0.1
    together = np.frombuffer((site / "update").read_bytes(), "<f4")
    np.testing.assert_allclose(together, alone.numpy(), rtol=1e-4, atol=1e-6)
    assert (site / "update").stat().st_mode & 0o777 == 0o600
    command[-1] = "another"
    again = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode != 0
    assert "this round was started before" in again.stderr
    assert not (site / "another").exists()


def test_of_two_that_start_the_same_round_at_once_one_trains(site: Path) -> None:
    """Both have looked and seen no mark; only one can make it."""
    _mark_started(site / "study")
    with pytest.raises(ConflictError, match="charge for a further one"):
        _mark_started(site / "study")


def test_a_round_is_started_once_and_only_if_there_is_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is met or opened: a worker that torchrun started again would noise the round a second time."""
    paths = [site / name for name in ("study", "shards", "secret", "update")]
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(ConflictError, match="max-restarts 0"):
        main(*paths)
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "0")
    write_private_file(site / "update", b"")
    with pytest.raises(ConflictError, match="name a new file"):
        main(*paths)
    write_private_file(site / "secret", b"short")
    with pytest.raises(InvalidInputError, match="32 random bytes"):
        main(*paths)
    second = DistributedRound.model_validate_json((site / "study/round.json").read_bytes())
    write_private_file(site / "study/round.json", second.model_copy(update={"number": 2}).canonical())
    with pytest.raises(InvalidInputError, match="there is no 2"):
        main(*paths)
