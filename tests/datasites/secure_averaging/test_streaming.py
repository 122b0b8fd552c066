"""From the trainer's pipe to the masked vector: in constant memory, and never whole if the trainer lied."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.execution import trainer_start
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from datasites.secure_averaging.coordinator import RunningSum
from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.layout import decode, vector_length
from datasites.secure_averaging.site import masked_blocks
from policies.errors import ConflictError, RefusedError
from researcher.strategies.fedavg import federated_average
from tests.stand_in_trainer import result_frame, start_code, study_of
from tests.whole_vectors import mask_update, vector_digest

ROOT = Path(__file__).resolve().parents[3]
PARAMETERS = 3 * BLOCK_NUMBERS + 5
MEMORY = 2**31


@pytest.fixture(scope="module")
def study(cohort_factory):
    """Two sites, one training round of more than three blocks whose model is measured too."""
    return cohort_factory(2, PARAMETERS, rounds=1, models=(0,))


@pytest.fixture(scope="module")
def measured(cohort_factory):
    """Two sites, an update of two blocks and a little, and metrics after it."""
    return cohort_factory(2, 2 * BLOCK_NUMBERS + 9, models=(0,))


def coordinates_taken(study, monkeypatch, say: str, seconds: float = 20) -> int:
    """How many masked coordinates come out of a round whose trainer does `say`."""
    monkeypatch.setattr(trainer_start, "_START", start_code(say))
    own, taken = study.sites[0], 0
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study_of(study.terms), (), 0, seconds=20)
        model = (bytes(2**16) for _ in range(4 * PARAMETERS // 2**16))
        rest = (bytes(4 * PARAMETERS % 2**16),)
        try:
            result = trainer.round((*model, *rest), number=1, trains=True, evaluates=True, seconds=seconds)
            key, context = study.private_keys[own][0], study.context()
            for block in masked_blocks(study.terms, 1, result.update, result.metrics, key, study.roster, own, context):
                taken += block.size
        except (TrainerFailedError, RefusedError):
            assert taken < vector_length(study.terms, 1)
            assert taken <= PARAMETERS - 5, "the update's last block was given out"
            return -1
    return taken


FRAME = f"speak({result_frame(PARAMETERS, 2)!r}); speak(bytes(16))"


def test_an_honest_trainers_round_gives_the_whole_vector(study, monkeypatch):
    assert coordinates_taken(study, monkeypatch, f"{FRAME}; speak(bytes({8 * PARAMETERS}))") == PARAMETERS + 2


@pytest.mark.parametrize(
    "say",
    [
        f"{FRAME}; speak(bytes({8 * PARAMETERS - 1})); os.close(1)",
        f"{FRAME}; os.close(1)",
        f"{FRAME}; speak(bytes({8 * PARAMETERS + 1}))",
        f"{FRAME}; speak(bytes({8 * PARAMETERS - 8}) + b'\\0\\0\\0\\0\\0\\0\\xf8\\x7f')",
        f"{FRAME}; speak(bytes({8 * PARAMETERS - 40}) + b'\\0\\0\\0\\0\\0\\0\\xf0\\xff' + bytes(32))",
        f"{FRAME}; speak(b'\\0\\0\\0\\0\\0\\0\\xf8\\x7f' + bytes({8 * PARAMETERS - 8}))",
        f"speak({result_frame(PARAMETERS, 2)!r}); speak(b'\\xff' * 16 + bytes({8 * PARAMETERS}))",
        f"speak({result_frame(PARAMETERS, 0)!r}); speak(bytes({8 * PARAMETERS}))",
        f"speak({result_frame(PARAMETERS - 1, 2)!r}); speak(bytes({8 * PARAMETERS + 8}))",
    ],
    ids=[
        "a byte short",
        "no update",
        "a byte long",
        "NaN last",
        "infinity",
        "NaN first",
        "NaN metrics",
        "unmeasured",
        "fewer",
    ],
)
def test_a_lying_trainer_never_gets_a_complete_vector_masked(study, monkeypatch, say):
    assert coordinates_taken(study, monkeypatch, say) == -1


def test_a_trainer_that_stalls_in_the_middle_is_ended_at_the_rounds_deadline(study, monkeypatch):
    assert coordinates_taken(study, monkeypatch, f"{FRAME}; speak(bytes({16 * BLOCK_NUMBERS}))", seconds=2) == -1


def test_a_round_whose_update_was_not_taken_leaves_no_trainer_to_ask(study, monkeypatch):
    monkeypatch.setattr(trainer_start, "_START", start_code(f"{FRAME}; speak(bytes({8 * PARAMETERS}))"))
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study_of(study.terms), (), 0, seconds=20)
        model = (bytes(4 * PARAMETERS),)
        result = trainer.round(model, number=1, trains=True, evaluates=True, seconds=20)
        assert next(result.update).size == BLOCK_NUMBERS
        with pytest.raises(TrainerFailedError):
            trainer.round(model, number=1, trains=True, evaluates=True, seconds=20)
        with pytest.raises(ConflictError, match="not running"):
            next(result.update)


@pytest.mark.parametrize("size", [4 * PARAMETERS - 1, 4 * PARAMETERS + 1])
def test_a_model_of_another_length_ends_the_trainer(study, monkeypatch, size):
    monkeypatch.setattr(trainer_start, "_START", start_code(f"{FRAME}; speak(bytes({8 * PARAMETERS}))"))
    with TrainerProcess(memory_bytes=MEMORY, start_seconds=30) as trainer:
        trainer.prepare(study_of(study.terms), (), 0, seconds=20)
        with pytest.raises(TrainerFailedError):
            trainer.round((bytes(size),), number=1, trains=True, evaluates=True, seconds=20)
        with pytest.raises(ConflictError, match="not running"):
            trainer.round((bytes(4 * PARAMETERS),), number=1, trains=True, evaluates=True, seconds=20)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * BLOCK_NUMBERS + 9), max_size=6))
def test_how_the_update_is_cut_changes_no_byte(measured, cuts):
    """With the rounding's randomness held, ragged blocks give the bytes of the whole."""
    cohort, size = measured, measured.terms.programs.parameter_count
    own, update = cohort.sites[0], np.random.default_rng(4).uniform(-2, 2, size).astype(np.float32)
    key, counts = cohort.private_keys[own][0], np.array([3.0, 4.0])
    with pytest.MonkeyPatch.context() as held:
        held.setattr("os.urandom", lambda count: b"r" * count)
        whole = mask_update(
            cohort.terms, 1, update, counts, key, cohort.roster, own, cohort.context(), cohort.identities[own]
        )
        pieces = np.split(update, sorted(cuts))
        blocks = masked_blocks(cohort.terms, 1, pieces, counts, key, cohort.roster, own, cohort.context())
        ragged = b"".join(block.tobytes() for block in blocks)
    assert vector_digest(ragged) == whole.vector_digest
    assert ragged == whole.vector


@pytest.mark.parametrize("broken", ["short", "long", "NaN last", "two dimensions"])
def test_an_update_that_is_not_the_declared_one_is_refused_before_its_last_block(cohort, broken):
    own = cohort.sites[0]
    blocks = {
        "short": [np.zeros(10, np.float32), np.zeros(5, np.float32)],
        "long": [np.zeros(10, np.float32), np.zeros(6, np.float32), np.empty(0, np.float32), np.zeros(1, np.float32)],
        "NaN last": [np.zeros(10, np.float32), np.array([0, 0, 0, 0, 0, np.nan], np.float32)],
        "two dimensions": [np.zeros((10, 1), np.float32), np.zeros(6, np.float32)],
    }[broken]
    masked = masked_blocks(
        cohort.terms, 1, blocks, None, cohort.private_keys[own][0], cohort.roster, own, cohort.context()
    )
    taken: list[int] = []
    with pytest.raises(RefusedError, match="nothing was released") as caught:
        taken.extend(block.size for block in masked)
    assert sum(taken) < 16
    assert not any(letter.isdigit() for letter in str(caught.value))


_ANSWER = """
import gc, resource, sys, tracemalloc
from tests.benchmarks.bench_masking import one_round
from tests.stand_in_trainer import result_frame, start_code, study_of
from datasites.execution import trainer_process, trainer_start
from policies.masked_vector import running_vector_digest
from datasites.secure_averaging.site import masked_blocks

size = int(sys.argv[1])
say = f"speak({result_frame(size, 0)!r})\\nfor _ in range(8): speak(bytes(size))".replace("size", str(size))
trainer_start._START = start_code(say)
entry = one_round(3, size)
with trainer_process.TrainerProcess(memory_bytes=2**31, start_seconds=30) as trainer:
    trainer.prepare(study_of(entry.terms), (), 0, seconds=20)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    piece = bytes(2**18)
    model = (memoryview(piece)[:min(2**18, 4 * size - start)] for start in range(0, 4 * size, 2**18))
    result = trainer.round(model, number=1, trains=True, evaluates=False, seconds=60)
    digest, taken = running_vector_digest(size), 0
    for block in masked_blocks(
        entry.terms, 1, result.update, None, entry.key, entry.roster, entry.party, entry.context
    ):
        digest.update(block.data)
        taken += block.size
    digest.hexdigest()
assert taken == size
print(tracemalloc.get_traced_memory()[1], 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_a_sites_answer_takes_the_same_memory_whatever_the_model_is():
    """10⁷ parameters are 80 MB as the trainer sends them; the site's own process never holds a tenth of that."""
    done = subprocess.run(
        [sys.executable, "-c", _ANSWER, str(10**7)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    traced, resident = (int(number) for number in done.stdout.split())
    assert traced < 4 * 2**20
    assert resident < 8 * 2**20


def test_the_coordinator_holds_one_vector_and_a_block(cohort_factory):
    size = 1_000_000
    cohort = cohort_factory(2, size, rounds=1)
    values = np.random.default_rng(6).uniform(-1, 1, size).astype(np.float32)
    answers = {site: cohort.answer(site, values) for site in cohort.sites}
    model = np.ones(size, np.float32)
    tracemalloc.start()
    try:
        running = RunningSum(cohort.terms, 1, cohort.context(), cohort.pinned)
        for site, answer in answers.items():
            view = memoryview(answer.vector)
            pieces = (view[start : start + 2**20 + 1] for start in range(0, len(view), 2**20 + 1))
            running.add(site, answer.round_context, answer.vector_digest, answer.signature, pieces)
        update = decode(cohort.terms, 1, running.total()).update
        assert update is not None
        federated_average(model, update)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * size + 2**20
    np.testing.assert_allclose(model, 1 + values, atol=1e-5)
