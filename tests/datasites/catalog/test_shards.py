"""Shards of a snapshot: every unit in exactly one, and no worker takes another's."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasites.catalog.shards import open_shard, write_shards
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from tests.unit_arrays import UnitArrays, read_snapshot, write_units


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Units whose first feature is their number; 11 to train on and 4 held out."""
    features = np.arange(15, dtype=np.float32).repeat(6).reshape(15, 2, 3)
    target, mask = np.zeros((15, 2), np.float32), np.ones((15, 2), bool)
    sides = (UnitArrays(features[it], target[it], mask[it]) for it in (slice(11), slice(11, None)))
    return write_units(tmp_path / "whole.snapshot", *sides)


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_every_unit_is_in_exactly_one_shard_on_its_side(snapshot: Path, tmp_path: Path, count: int) -> None:
    shards = write_shards(snapshot, count, tmp_path / "shards")
    assert len(set(shards.shards)) == len(shards.shards) == count or count == 16
    read = [read_snapshot(tmp_path / "shards" / f"{rank}.snapshot") for rank in range(count)]
    assert np.concatenate([it.training.features[:, 0, 0] for it in read]).tolist() == list(range(11))
    assert np.concatenate([it.holdout.features[:, 0, 0] for it in read]).tolist() == list(range(11, 15))
    assert max(len(it.training.mask) for it in read) - min(len(it.training.mask) for it in read) <= 1
    assert {it.layout.manifest for it in read} == {read_snapshot(snapshot).layout.manifest}
    assert (tmp_path / "shards" / "0.snapshot").stat().st_mode & 0o777 == 0o400


def test_a_worker_takes_its_own_shard_only(snapshot: Path, tmp_path: Path) -> None:
    """The units of another shard, taken twice, would count twice: noise for one would have to hide two."""
    folder = tmp_path / "shards"
    written = write_shards(snapshot, 3, folder)
    file, listed = open_shard(folder, 1)
    file.close()
    assert listed == written
    shutil.copy(folder / "0.snapshot", folder / "3.snapshot")
    (folder / "1.snapshot").unlink()
    shutil.copy(folder / "0.snapshot", folder / "1.snapshot")
    for rank in (1, 3):
        with pytest.raises(NotAuthenticError, match=f"not shard {rank}"):
            open_shard(folder, rank)


def test_shards_are_neither_overwritten_nor_shown_to_others(snapshot: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shards(snapshot, 2, folder)
    with pytest.raises(FileExistsError):
        write_shards(snapshot, 2, folder)
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o755)
    with pytest.raises(RefusedError):
        write_shards(snapshot, 2, open_folder)


@pytest.mark.parametrize("count", [0, 65])
def test_no_snapshot_is_cut_into_none_or_too_many(snapshot: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(InvalidInputError, match="1 to 64"):
        write_shards(snapshot, count, tmp_path / "shards")


def test_the_command_says_what_is_wrong(snapshot: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "datasites.catalog.shards", str(snapshot), "x", str(tmp_path / "shards")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 1
    assert "Usage: python -m datasites.catalog.shards" in done.stderr
