"""P1, the one descriptor: a trainer reads its own study's data, as they were checked, and nobody else's."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from datasites.catalog.parquet_reader import _Columns
from datasites.catalog.snapshot import open_snapshot, snapshot_commitment
from datasites.execution.trainer_process import TrainerProcess
from datasites.training import unit_file
from datasites.training.data import padded_chunks, sample
from datasites.training.randomness import SecretStream
from datasites.training.unit_file import open_units
from policies.errors import InvalidInputError, NotAuthenticError
from tests.fuzz.seeds import PARAMETERS, TRAINER
from tests.fuzz.table_seeds import DECODED_ROWS
from tests.unit_arrays import UnitArrays, opened, write_units

MEMORY = 4 * 2**30
KEY = bytes(32)


def units(count: int) -> UnitArrays:
    return UnitArrays(np.zeros((count, 1, 6), np.float32), np.zeros((count, 1), np.int64), np.ones((count, 1), bool))


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = write_units(tmp_path / "units.snapshot", units(60), units(20))
    path.chmod(0o400)
    return path


def open_files(trainer: TrainerProcess) -> Iterator[str]:
    assert trainer._process is not None
    for entry in Path(f"/proc/{trainer._process.pid}/fd").iterdir():
        yield str(entry.readlink())


def commitment(path: Path) -> str:
    return snapshot_commitment(hashlib.sha256(path.read_bytes()).digest(), KEY)


def test_a_trainer_started_later_has_no_other_studys_data_open(snapshot: Path) -> None:
    """The datasite itself keeps the first study's snapshot open while it starts the second one's trainer."""
    with ExitStack() as stack:
        checked = stack.enter_context(open_snapshot(snapshot, commitment(snapshot), KEY))
        assert not os.get_inheritable(checked.descriptor)
        first = stack.enter_context(TrainerProcess(memory_bytes=MEMORY, start_seconds=60))
        first.prepare(TRAINER[0], (PARAMETERS,), len(PARAMETERS), seconds=60)
        first.load(checked.descriptor, None, seconds=30)
        second = stack.enter_context(TrainerProcess(memory_bytes=MEMORY, start_seconds=60))
        assert [name for name in open_files(first) if name.endswith(".snapshot")] == [str(snapshot)]
        assert [name for name in open_files(second) if name.endswith(".snapshot")] == []
        assert len([name for name in open_files(second) if name.startswith("socket:")]) == 1, "its own door alone"
        assert fcntl.fcntl(checked.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        checked.require_unchanged()


@pytest.mark.parametrize("change", ["a byte", "and back", "longer", "touched"])
def test_a_snapshot_changed_behind_the_check_is_noticed_before_anything_is_released(
    snapshot: Path, change: str
) -> None:
    with open_snapshot(snapshot, commitment(snapshot), KEY) as checked:
        before = snapshot.stat()
        snapshot.chmod(0o600)
        content = bytearray(snapshot.read_bytes())
        if change in ("a byte", "and back"):
            snapshot.write_bytes(content[:-1] + b"\x07")
        if change == "and back":
            snapshot.write_bytes(content)
        if change == "longer":
            snapshot.write_bytes(content + b"\x07")
        snapshot.chmod(0o400)
        os.utime(snapshot, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(NotAuthenticError, match="changed"):
            checked.require_unchanged()


def test_links_pipes_and_others_files_are_no_snapshots(snapshot: Path, tmp_path: Path) -> None:
    known = commitment(snapshot)
    (tmp_path / "link").symlink_to(snapshot)
    os.mkfifo(tmp_path / "pipe", 0o400)
    (tmp_path / "folder").mkdir(mode=0o500)
    for name in ("link", "pipe", "folder", "nothing"):
        with pytest.raises(NotAuthenticError):
            open_snapshot(tmp_path / name, known, KEY)
    snapshot.chmod(0o440 | 0o200)
    with pytest.raises(NotAuthenticError, match="0400"):
        open_snapshot(snapshot, known, KEY)


def test_the_number_of_reads_and_their_sizes_never_tell_how_many_were_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nobody to more than there is room for on average; only beyond all places does another whole pass show."""
    reads: list[int] = []
    true_read = unit_file.read_exactly
    monkeypatch.setattr(unit_file, "read_exactly", lambda *given: (reads.append(len(given[1])), true_read(*given)))
    with opened(tmp_path, units(60), units(20)) as descriptor:
        training, holdout = open_units(descriptor)
        traces = set()
        for side in (training, holdout):
            for taken in (0, 1, 7, 19, 20):
                list(padded_chunks(side, torch.arange(taken), 20, 6))
                traces.add(tuple(reads))
                reads.clear()
        assert len(traces) == 1
        for _ in range(20):
            list(padded_chunks(training, sample(SecretStream(), 60, 0.1), 20, 6))
            traces.add(tuple(reads))
            reads.clear()
        assert len(traces) == 1


def test_a_decoder_that_was_taken_over_cannot_blow_up_a_few_bytes_into_many_texts() -> None:
    """Ends that jump back and forth would take the same megabyte as a text again and again."""
    arrays = load(DECODED_ROWS)
    arrays["0.text"] = np.zeros(2**20, np.uint8)
    for ends in ([2**20, 0] * 2**10 + [2**20], [-5, 2**20], [2**20, 2**19, 2**20]):
        arrays["0.ends"] = np.array(ends, np.int64)
        columns = _Columns(save(arrays), 3, {"t": 0}, {"t": "text"})
        with pytest.raises(InvalidInputError):
            columns.texts("t")
