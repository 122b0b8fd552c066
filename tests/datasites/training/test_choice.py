"""Which path is taken, for how many units at a time, and what an owner's rules and the memory say about it."""

import pytest

from datasites.training.choice import TrainedLoss
from datasites.training.prepared import prepare_program
from policies.errors import InvalidInputError
from policies.rules.training_rules import Gradients
from tests.clipped_sums import summed, trained_loss
from tests.small_programs import LOOK_UPS, PERCEPTRON, TIED, drawn, units_for


def paths(loss: TrainedLoss) -> list[str]:
    return [it.path for it in loss.recorded(4, units_for(loss.program, 1), 1.0)]


def small(memory_bytes: int, gradients: Gradients) -> TrainedLoss:
    prepared = prepare_program(PERCEPTRON, kind="loss", values=drawn(PERCEPTRON), memory_bytes=2**24)
    return TrainedLoss(prepared, memory_bytes, gradients)


def test_the_owner_can_have_whole_gradients_always() -> None:
    assert paths(trained_loss(PERCEPTRON, {}, "automatic")) == ["full", "layer-wise"]
    assert paths(trained_loss(PERCEPTRON, {}, "full")) == ["full"]


def test_without_layers_gradients_are_whole() -> None:
    assert paths(trained_loss(TIED, {})) == ["full"]


def test_a_table_of_many_rows_takes_the_faster_path_and_keeps_it() -> None:
    table = LOOK_UPS.model_copy(
        update={"inputs": (LOOK_UPS.inputs[0].model_copy(update={"shape": (20_000, 4)}), *LOOK_UPS.inputs[1:])}
    )
    loss, unit = trained_loss(table, {}), units_for(table, 1)
    assert loss.fitted(32, unit, 1.0).path == "layer-wise"
    assert loss.fitted(32, unit, 1.0) is loss.fitted(32, unit, 1.0)


@pytest.mark.parametrize("gradients", ["automatic", "full"])
def test_chunks_are_cut_to_the_memory_there_is(gradients: Gradients) -> None:
    unit = units_for(PERCEPTRON, 1)
    whole = small(2**24, gradients).fitted(1000, unit, 1.0)
    assert whole.units == 1000
    cut = small(whole.tape.peak_bytes // 10, gradients).recorded(1000, unit, 1.0)
    assert all(10 <= it.units < 1000 and it.tape.peak_bytes <= whole.tape.peak_bytes // 10 for it in cut)


def test_a_unit_that_does_not_fit_into_memory_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="smaller model"):
        small(100, "automatic").fitted(10, units_for(PERCEPTRON, 1), 1.0)


def test_a_chunk_of_another_size_than_recorded_is_not_computed() -> None:
    sums = trained_loss(PERCEPTRON, {}).fitted(4, units_for(PERCEPTRON, 1), 1.0)
    with pytest.raises(ValueError, match="4 are recorded"):
        summed(sums, drawn(PERCEPTRON), units_for(PERCEPTRON, 5))
