"""P1 on the layer-wise path: programs and records that make a gradient look shorter than what it adds to the sum."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.training.data import UnitData
from datasites.training.taps import shared_convolution
from policies.programs.format import Program
from tests.clipped_sums import contributions, recorded, summed, trained_loss
from tests.small_programs import LOOK_UPS, PERCEPTRON, SUM, TIED, drawn, small_program

both_paths = pytest.mark.parametrize("path", ["full", "layer-wise"])
HUGE = 1e6

DIFFERENCE = [
    ("first", "select", ["y"], {"dim": 0, "index": 0}),
    ("second", "select", ["y"], {"dim": 0, "index": 1}),
    ("difference", "sub", ["first", "second"], {}),
    ("huge", "full", [], {"shape": (), "value": HUGE, "dtype": "float32"}),
    ("s", "sum", ["difference"], SUM),
    ("loss", "mul", ["s", "huge"], {}),
]
"""The loss has 10⁶ for the gradient of one position y, and its opposite for that of the other."""

POSITIONS = small_program(
    {"weight": (80, 64)}, ((2, 64), "float32"), [("y", "linear", ["features", "weight"], {}), *DIFFERENCE]
)
TOKENS = small_program(
    {"weight": (80, 64)},
    ((2,), "int64"),
    [("e", "embedding", ["words", "features"], {}), ("y", "linear", ["e", "weight"], {}), *DIFFERENCE],
    {"words": (2, 64)},
)
FEATURES = 100_000
WIDE = small_program(
    {"weight": (1, FEATURES)}, ((FEATURES,), "float32"), [("y", "linear", ["features", "weight"], {}),
    ("loss", "sum", ["y"], SUM)],
)  # fmt: skip


@pytest.fixture(params=[False, True], ids=["denormals", "flushed"])
def flushing(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_flush_denormal(request.param)
    yield
    torch.set_flush_denormal(False)


def lengths(program: Program, data: UnitData, norm: float, path: str, **values: Tensor) -> list[float]:
    """How long what each unit adds is."""
    known = {**drawn(program), **values}
    found = contributions(recorded(trained_loss(program, known), data, norm, path), known, data)
    return torch.cat([it.flatten(1) for it in found.values()], 1).double().norm(dim=1).tolist()


def units(features: Tensor) -> UnitData:
    """Units of one record each."""
    count = len(features)
    return UnitData((features[:, None], torch.zeros(count, 1)), torch.ones(count, 1, dtype=torch.bool))


def almost_alike(offset: float) -> Tensor:
    """Two positions whose squares and product float32 cannot tell apart: [2, 64]."""
    first = torch.randn(64, generator=torch.Generator().manual_seed(4)) * 4
    second = first.clone()
    second[0] += offset
    return torch.stack([first, second])


@both_paths
@pytest.mark.parametrize("offset", [0.0, 1e-4, 1e-3, 1e-2, 0.1])
def test_gradients_whose_norm_cancels_in_float32_are_bounded(path: str, offset: float) -> None:
    """10⁶ × an offset of 10⁻³ is a gradient of 9000; by products of positions alone it may seem to be none."""
    pair = almost_alike(offset)
    assert lengths(POSITIONS, units(pair[None]), 1.0, path)[0] <= 1.0
    if offset == 1e-3:
        alike = pair @ pair.T
        assert (alike[0, 0] - 2 * alike[0, 1] + alike[1, 1]).abs() < 1e-3  # 10¹² of it lie below one rounding


@both_paths
@pytest.mark.parametrize("offset", [1e-4, 1e-3, 1e-2])
def test_looked_up_words_that_cancel_are_bounded(path: str, offset: float) -> None:
    data = units(torch.tensor([[0, 1], [1, 0], [1, 1]]))
    assert max(lengths(TOKENS, data, 1.0, path, words=almost_alike(offset))) <= 1.0


@both_paths
def test_a_row_looked_up_again_and_again_counts_once_as_a_whole(path: str) -> None:
    """Seven look-ups taken one by one seem √7 times shorter than their sum, which is what they add to it."""
    data = units(torch.tensor([[3] * 7, [3, 3, 3, 1, 1, 1, 99], [0, 1, 2, 3, 4, 5, 5]]))
    found = lengths(LOOK_UPS, data, 1e-3, path)
    assert max(found) <= 1e-3
    assert min(found) > 0.99e-3


@both_paths
def test_the_records_of_a_unit_that_look_up_one_row_count_as_a_whole(path: str) -> None:
    features = torch.full((2, 5, 7), 2)
    data = UnitData((features, torch.zeros(2, 5)), torch.ones(2, 5, dtype=torch.bool))
    found = lengths(LOOK_UPS, data, 1e-3, path)
    assert 0.99e-3 < max(found) <= 1e-3


@both_paths
def test_a_table_at_both_ends_is_bounded_as_one(path: str) -> None:
    found = lengths(TIED, units(torch.tensor([[0, 1, 2], [4, 4, 4]])), 1e-3, path)
    assert max(found) <= 1e-3


@both_paths
def test_many_small_numbers_after_large_ones_still_count(path: str) -> None:
    """Added one by one to 64 in float32, each square of 2⁻²⁵ would vanish."""
    features = torch.full((1, FEATURES), 2.0**-12.7)
    features[0, :64] = 1.0
    assert lengths(WIDE, units(features), 4.0, path)[0] <= 4.0


@both_paths
@pytest.mark.parametrize("size", [1e-25, 1e-20, 1e-15, 1.0, 1e10, 1e18, 1e25, 3e38])
@pytest.mark.parametrize("weight", [1e-3, 1e18, 1e35])
def test_numbers_whose_squares_vanish_or_overflow_are_bounded(
    path: str, size: float, weight: float, flushing: None
) -> None:
    """Features of 10⁻²⁰ have squares of zero; times an error of 10¹⁸ they make a gradient that is not."""
    steps = [
        ("y", "linear", ["features", "weight"], {}),
        ("s", "sum", ["y"], SUM),
        ("loss", "mul", ["s", "target"], {}),
    ]
    program = small_program({"weight": (3, 6)}, ((6,), "float32"), steps)
    data = UnitData((torch.full((2, 1, 6), size), torch.full((2, 1), weight)), torch.ones(2, 1, dtype=torch.bool))
    assert max(lengths(program, data, 1e-3, path)) <= 1e-3


@both_paths
@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf])
def test_the_sum_is_bit_by_bit_that_without_the_strange_unit(path: str, rubbish: float) -> None:
    values = drawn(PERCEPTRON)
    data = units(torch.randn(9, 6, generator=torch.Generator().manual_seed(6)))
    data.features[4] = rubbish
    sums = recorded(trained_loss(PERCEPTRON, values), data, 1.0, path)
    without = UnitData(data.record, data.mask & (torch.arange(9) != 4)[:, None])
    for name, value in summed(sums, values, data).items():
        assert value.isfinite().all()
        assert torch.equal(value, summed(sums, values, without)[name])


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf, 3e38, 1e-40])
@pytest.mark.parametrize(("channels", "filters"), [(1, 1), (1, 16), (3, 5), (16, 8), (17, 33)])
def test_the_librarys_convolution_carries_no_bit_from_one_record_to_another(
    rubbish: float, channels: int, filters: int
) -> None:
    """With one weight for all records it computes image by image; with many it would not."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(filters, channels, 3, 3, generator=generator)
    records = torch.randn(17, 1, channels, 9, 9, generator=generator)
    options = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    run = vmap(grad(lambda x: shared_convolution(x, weight, **options).square().sum()))
    before = run(records)
    records[8] = rubbish
    after = run(records)
    others = [*range(8), *range(9, 17)]
    assert torch.equal(before[others], after[others])
