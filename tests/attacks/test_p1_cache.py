"""P1 of what a trainer computes once: on disk it is unreadable, has no name, and is gone with the trainer."""

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from datasites.execution.cache_space import cache_file, room_for_cache
from datasites.execution.trainer_messages import Prepared, Ready
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from policies.errors import UnavailableError
from tests import frozen_study
from tests.attacks.crafted_study import MEMORY, collected
from tests.attacks.test_p1_trainer_taken_over import frame, taken_over
from tests.unit_arrays import UnitArrays, opened

MODEL = np.full(frozen_study.GIVEN, 0.25, np.float32)
UNITS = 60
ROOM = 2**20


@pytest.fixture
def everybody() -> UnitArrays:
    features = np.random.default_rng(5).normal(size=(UNITS, 2, 3)).astype(np.float32)
    return UnitArrays(features, (features[..., 0] > 0).astype(np.float32), np.ones((UNITS, 2), bool))


@pytest.fixture
def snapshot(tmp_path: Path, everybody: UnitArrays) -> Iterator[int]:
    holdout = UnitArrays(everybody.features[:20], everybody.target[:20], everybody.mask[:20])
    with opened(tmp_path, everybody, holdout) as descriptor:
        yield descriptor


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    folder = tmp_path / "caches"
    folder.mkdir()
    return folder


def process_id(trainer: TrainerProcess) -> int:
    assert trainer._process is not None
    return trainer._process.pid


def load(trainer: TrainerProcess, snapshot: int, folder: Path) -> None:
    content = frozen_study.parameters()
    trainer.prepare(frozen_study.study(), (content,), len(content), seconds=60)
    with cache_file(folder, trainer.cache_bytes) as cache:
        trainer.load(snapshot, cache, seconds=60)


def update(trainer: TrainerProcess) -> np.ndarray:
    return collected(trainer.round((MODEL.data,), number=1, trains=True, evaluates=False, seconds=60))


def cache_of(trainer: TrainerProcess) -> bytes:
    (path,) = [it for it in Path(f"/proc/{process_id(trainer)}/fd").iterdir() if "(deleted)" in str(it.readlink())]
    return path.read_bytes()


def body(features: np.ndarray) -> np.ndarray:
    weights = frozen_study.values()
    hidden = torch.tanh(torch.from_numpy(features) @ weights["body1"].T)
    return (torch.tanh(hidden @ weights["body2"].T) @ weights["body3"].T).numpy()


def test_a_cache_on_disk_holds_nothing_that_can_be_read_and_ends_with_its_trainer(
    snapshot: int, everybody: UnitArrays, caches: Path
) -> None:
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as plain:
        load(plain, snapshot, caches)
        assert plain.cache_bytes == 0
        expected = update(plain)
    assert room_for_cache(caches) > ROOM
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60, cache_bytes=ROOM) as trainer:
        load(trainer, snapshot, caches)
        assert list(caches.iterdir()) == []
        limits = Path(f"/proc/{process_id(trainer)}/limits").read_text()
        assert f"Max file size {ROOM} {ROOM} bytes" in " ".join(limits.split())
        content = cache_of(trainer)
        assert len(content) == trainer.cache_bytes > 0
        known = body(everybody.features).reshape(-1, frozen_study.GIVEN)
        secrets = [*known.reshape(-1), *everybody.features.reshape(-1)]
        # By chance, four bytes are found in so long a file once in 2³² ÷ (its length × 480) tries.
        assert sum(number.tobytes() in content for number in secrets) == 0
        assert bytes(8) not in content
        np.testing.assert_allclose(update(trainer), expected, rtol=0, atol=1e-6)
        assert np.abs(expected).max() > 0.01
        assert cache_of(trainer) == content
        child = Path(f"/proc/{process_id(trainer)}")
        os.kill(process_id(trainer), signal.SIGKILL)
        os.waitid(os.P_PID, process_id(trainer), os.WEXITED | os.WNOWAIT)
        assert list((child / "fd").iterdir()) == []
        assert list(caches.iterdir()) == []
        with pytest.raises(TrainerFailedError):
            update(trainer)


def test_a_cache_changed_on_disk_ends_the_trainer_without_a_word(
    snapshot: int, caches: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = frozen_study.parameters()
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60, cache_bytes=ROOM) as trainer:
        trainer.prepare(frozen_study.study(), (content,), len(content), seconds=60)
        with cache_file(caches, trainer.cache_bytes) as cache:
            assert cache is not None
            trainer.load(snapshot, cache, seconds=60)
            row = trainer.cache_bytes // 2
            os.pwrite(cache, os.pread(cache, row, row), 0)
            with pytest.raises(TrainerFailedError) as caught:
                update(trainer)
    assert "cache" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_study_that_needs_a_cache_and_gets_none_does_not_run(snapshot: int) -> None:
    content = frozen_study.parameters()
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=60, cache_bytes=ROOM) as trainer:
        trainer.prepare(frozen_study.study(), (content,), len(content), seconds=60)
        with pytest.raises(TrainerFailedError):
            trainer.load(snapshot, None, seconds=60)


def test_a_trainer_that_was_taken_over_is_given_no_more_disk_than_it_was_offered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready = frame(Ready(layers=("seccomp",), refusal=None).canonical())
    taken_over(monkeypatch, tmp_path, ready, frame(Prepared(refusal=None, cache_bytes=1001).canonical()))
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30, cache_bytes=1000) as trainer:
        with pytest.raises(TrainerFailedError, match="larger cache"):
            trainer.prepare(frozen_study.study(), (), 0, seconds=10)
        assert trainer.cache_bytes == 0


def test_a_disk_without_room_is_noticed_before_there_is_data(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no room"), cache_file(tmp_path, 2**60):
        pass
    assert list(tmp_path.iterdir()) == []
    assert room_for_cache(tmp_path / "nowhere") == 0


def test_nobody_can_give_a_cache_a_name(tmp_path: Path) -> None:
    def link(descriptor: int, name: Path) -> int:
        here, follow = -100, 0x400
        path = f"/proc/self/fd/{descriptor}".encode()
        return ctypes.CDLL(None, use_errno=True).linkat(here, path, here, os.fsencode(name), follow)

    with cache_file(tmp_path, 100) as descriptor:
        assert descriptor is not None
        assert link(descriptor, tmp_path / "kept") == -1
    ordinary = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o600)
    assert link(ordinary, tmp_path / "named") == 0
    os.close(ordinary)
    assert [path.name for path in tmp_path.iterdir()] == ["named"]
