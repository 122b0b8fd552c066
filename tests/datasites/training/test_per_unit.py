"""Gradients per unit, against a slow reference, and their bound for programs that try to get around it."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from datasites.training.data import UnitData
from datasites.training.per_unit import unit_gradients
from datasites.training.prepared import PreparedProgram

MODEL = {"bias": torch.tensor([0.25]), "weight": torch.tensor([[0.5, -1.0, 2.0]])}
HUGE = 1e30


def flat(gradients: dict[str, Tensor]) -> NDArray[np.float64]:
    return np.concatenate([value.flatten(1).double().numpy() for _, value in sorted(gradients.items())], axis=1)


def reference(data: UnitData, norm: float) -> NDArray[np.float64]:
    """The logistic gradient (σ(w·x + b) − y)·(1, x), written out record by record in float64."""
    weight, bias = MODEL["weight"][0].double().numpy(), float(MODEL["bias"])
    rows = []
    for features, target, mask in zip(data.features.numpy(), data.target.numpy(), data.mask.numpy(), strict=True):
        total = np.zeros(4)
        for x, y, present in zip(features.astype(float), target.astype(float), mask, strict=True):
            if present:
                error = 1 / (1 + np.exp(-(weight @ x + bias))) - y
                total += error * np.array([1.0, *x])
        rows.append(total * min(1.0, norm / np.linalg.norm(total)))
    return np.array(rows)


def test_unit_gradients_agree_with_a_record_by_record_reference(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData]
) -> None:
    data = draw_units(40)
    np.testing.assert_allclose(flat(unit_gradients(logistic, MODEL, data, HUGE)), reference(data, HUGE), atol=1e-5)
    np.testing.assert_allclose(flat(unit_gradients(logistic, MODEL, data, 0.7)), reference(data, 0.7), atol=1e-5)


def test_a_unit_with_one_record_that_is_not_finite_contributes_zero_and_the_others_all(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData]
) -> None:
    data = draw_units(6)
    before = flat(unit_gradients(logistic, MODEL, data, 1.0))
    for rubbish in (torch.nan, torch.inf, -torch.inf):
        data.features[2, 0, 1] = rubbish
        after = flat(unit_gradients(logistic, MODEL, data, 1.0))
        assert not after[2].any()
        np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))


def test_records_that_overflow_only_in_their_sum_are_dropped(make_loss: Callable[..., PreparedProgram]) -> None:
    loss = make_loss([("select", [0], {"dim": 0, "index": 0}), ("mul", [4, 3], {})])
    data = UnitData((torch.zeros(1, 2, 3), torch.full((1, 2), 3e38)), torch.ones(1, 2, dtype=torch.bool))
    assert not flat(unit_gradients(loss, MODEL, data, 1.0)).any()


def test_a_unit_without_records_contributes_zero(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData]
) -> None:
    data = draw_units(3)
    data.mask[1] = False
    assert not flat(unit_gradients(logistic, MODEL, data, 1.0))[1].any()


def test_a_parameter_that_the_loss_ignores_has_gradient_zero(make_loss: Callable[..., PreparedProgram]) -> None:
    loss = make_loss([("sum", [2], {"dims": (), "keep": False})])
    data = UnitData((torch.ones(2, 1, 3), torch.ones(2, 1)), torch.ones(2, 1, dtype=torch.bool))
    assert not flat(unit_gradients(loss, MODEL, data, 1.0)).any()


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(-37, 37),
    norm=st.sampled_from([1e-30, 1e-6, 0.1, 1.0, 1e6]),
    seed=st.integers(0, 2**31),
)
def test_no_unit_is_ever_longer_than_the_norm(scale: float, norm: float, seed: int) -> None:
    from datasites.training.per_unit import _bounded  # the bound alone, for gradients no small program would give

    generator = torch.Generator().manual_seed(seed)
    gradients = {
        "a": torch.randn((5, 4, 3), generator=generator) * 10.0**scale,
        "b": torch.randn((5, 7), generator=generator) * 10.0 ** (scale / 2),
    }
    lengths = np.linalg.norm(flat(_bounded(gradients, norm)), axis=1)
    assert (lengths <= norm).all()


def test_small_coordinates_that_float32_sums_of_squares_lose_still_count() -> None:
    from datasites.training.per_unit import _bounded

    crafted = torch.full((1, 4_000_000), 2.0**-12.7)
    crafted[0, :64] = 1.0
    lengths = np.linalg.norm(flat(_bounded({"a": crafted}, 8.0)), axis=1)
    assert (lengths <= 8.0).all()
