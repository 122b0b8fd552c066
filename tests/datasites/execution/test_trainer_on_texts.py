"""A real trainer reads texts by the study's tokeniser after its lockdown, and refuses one that does not fit before."""

from pathlib import Path

import numpy as np
import pytest

from datasites.execution.cache_space import cache_file
from datasites.execution.trainer_messages import Prepare
from datasites.execution.trainer_process import TrainerProcess
from datasites.training.study import prepare_study
from policies.errors import InvalidInputError
from tests import text_study
from tests.unit_arrays import UnitArrays, opened

MEMORY, ROOM, UNITS = 4 * 2**30, 2**20, 50
TEXTS = ("Pain, no pain.", "no", "PAIN again and again – pain pain pain pain", "Übel")
COUNTS = (2, 0, 2, 0)  # of the third only the first six words are read: pain again and again – pain


def side() -> UnitArrays:
    features = np.zeros((UNITS, 1, text_study.TEXT_BYTES), np.uint8)
    for unit in range(UNITS):
        encoded = TEXTS[unit % len(TEXTS)].encode()[: text_study.TEXT_BYTES]
        features[unit, 0, : len(encoded)] = np.frombuffer(encoded, np.uint8)
    return UnitArrays(features, np.ones((UNITS, 1), np.float32), np.ones((UNITS, 1), bool))


def brought(tokeniser: bytes) -> tuple[Prepare, bytes]:
    """A study with this tokeniser, and the files that come with it."""
    study = text_study.study().model_copy(update={"tokeniser_bytes": len(tokeniser)})
    return study, text_study.parameters() + tokeniser


def prepare(trainer: TrainerProcess, tokeniser: bytes) -> None:
    study, files = brought(tokeniser)
    trainer.prepare(study, (files,), len(files), seconds=60)


def test_texts_are_read_trained_on_and_measured(tmp_path: Path) -> None:
    with (
        opened(tmp_path, side(), side()) as snapshot,
        TrainerProcess(memory_bytes=MEMORY, start_seconds=60, cache_bytes=ROOM) as trainer,
    ):
        prepare(trainer, text_study.tokeniser())
        assert trainer.cache_bytes > 0
        with cache_file(tmp_path, trainer.cache_bytes) as cache:
            trainer.load(snapshot, cache, seconds=60)
        result = trainer.round((bytes(4),), number=1, trains=True, evaluates=True, seconds=60)
        update = np.concatenate([block.copy() for block in result.update])
    assert result.metrics is not None
    expected = sum(COUNTS[unit % len(TEXTS)] for unit in range(UNITS)) / 10
    np.testing.assert_allclose(result.metrics, [expected, UNITS - expected], atol=1e-5)
    assert 0.1 < update[0] < 1  # (2w − 1)² is least at ½


UNFIT = {
    "another length": (text_study.tokeniser(length=7), "than the terms say"),
    "no tokeniser": (b"", "strict JSON"),
    "a step off the list": (text_study.tokeniser(normalizer={"type": "Replace"}), "not one that sites take"),
}


@pytest.mark.parametrize("change", UNFIT)
def test_a_tokeniser_that_does_not_fit_is_refused_with_the_reason(change: str) -> None:
    tokeniser, reason = UNFIT[change]
    with pytest.raises(InvalidInputError, match=reason):
        prepare_study(*brought(tokeniser), 2**24, ROOM)


def test_the_reason_comes_from_the_trainers_process() -> None:
    tokeniser, reason = UNFIT["a step off the list"]
    with (
        TrainerProcess(memory_bytes=MEMORY, start_seconds=60, cache_bytes=ROOM) as trainer,
        pytest.raises(InvalidInputError, match=reason),
    ):
        prepare(trainer, tokeniser)
