"""The layer-wise path: the same as whole gradients, for every kind of layer, and the bound for every unit."""

import pytest
import torch

from datasites.training.data import UnitData
from datasites.training.layers import find_layers
from policies.programs.format import Program
from tests.clipped_sums import contributions, recorded, summed, trained_loss
from tests.small_programs import (
    BEHIND_A_BODY,
    DROPOUT,
    IMAGES,
    LOOK_UPS,
    PERCEPTRON,
    POSITIONS,
    PROGRAMS,
    TIED,
    drawn,
    units_for,
)

every_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())


@pytest.mark.parametrize(("records", "norm"), [(1, 0.05), (3, 0.05), (3, 1e6)])
@every_program
def test_each_units_contribution_is_that_of_the_full_path(program: Program, records: int, norm: float) -> None:
    loss, values, data = trained_loss(program, drawn(program)), drawn(program), units_for(program, 6, records)
    whole, layered = (contributions(recorded(loss, data, norm, it), values, data) for it in ("full", "layer-wise"))
    for name, expected in whole.items():
        scale = float(expected.abs().max())
        assert scale > 0
        torch.testing.assert_close(layered[name], expected, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("path", ["full", "layer-wise"])
@every_program
def test_removing_any_unit_moves_the_clipped_sum_by_at_most_the_norm(program: Program, path: str) -> None:
    values, data, norm = drawn(program), units_for(program, 8, 3), 0.05
    sums = recorded(trained_loss(program, values), data, norm, path)

    def total(mask: torch.Tensor) -> torch.Tensor:
        return torch.cat([it.flatten() for it in summed(sums, values, UnitData(data.record, mask)).values()])

    everybody, moves = total(data.mask), []
    for unit in range(len(data)):
        others = torch.arange(len(data))[:, None] != unit
        moves.append(float((everybody - total(data.mask & others)).norm()))
    assert max(moves) <= norm * (1 + 1e-5)
    assert max(moves) > 0.9 * norm


@pytest.mark.parametrize("path", ["full", "layer-wise"])
@pytest.mark.parametrize("program", [PERCEPTRON, POSITIONS, IMAGES], ids=["perceptron", "positions", "images"])
def test_what_one_unit_holds_changes_no_bit_of_anothers_contribution(program: Program, path: str) -> None:
    values, data = drawn(program), units_for(program, 17, 2)
    sums = recorded(trained_loss(program, values), data, 1.0, path)
    before = contributions(sums, values, data)
    others = [*range(8), *range(9, 17)]
    for rubbish in (torch.nan, torch.inf, 3e38, 1e-40):
        data.features[8, 0] = rubbish
        after = contributions(sums, values, data)
        for name, value in before.items():
            assert torch.equal(value[others], after[name][others])
            assert after[name].isfinite().all()


def test_layers_are_found_where_weights_are_used_once() -> None:
    def found(program: Program) -> dict[str, tuple[bool, str | None]]:
        return {it.weight: (it.output_first, it.bias) for it in find_layers(program)}

    assert found(PERCEPTRON) == {"a": (True, "b"), "c": (True, "d")}
    assert found(POSITIONS) == {"a": (True, "b"), "down": (False, None), "up": (True, None)}
    assert found(IMAGES) == {"a": (True, "b"), "c": (True, None), "d": (True, None), "head": (True, None)}
    assert found(LOOK_UPS) == {"table": (True, None), "weight": (True, None)}
    assert found(TIED) == {}
    assert found(DROPOUT) == found(BEHIND_A_BODY) == {"a": (True, "b"), "c": (True, None)}
