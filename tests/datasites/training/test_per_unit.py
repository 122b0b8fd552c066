"""What each unit adds to a clipped sum, on both paths: a slow reference, and what is not finite or not there."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasites.training.choice import TrainedLoss
from datasites.training.clipping import SHARE
from datasites.training.data import UnitData
from tests.clipped_sums import contributions, recorded

MODEL = {"bias": torch.tensor([0.25]), "weight": torch.tensor([[0.5, -1.0, 2.0]])}
HUGE = 1e30
pytestmark = pytest.mark.parametrize("path", ["full", "layer-wise"])


def flat(gradients: dict[str, Tensor]) -> NDArray[np.float64]:
    return np.concatenate([value.flatten(1).double().numpy() for _, value in sorted(gradients.items())], axis=1)


def each(loss: TrainedLoss, data: UnitData, norm: float, path: str) -> NDArray[np.float64]:
    return flat(contributions(recorded(loss, data, norm, path), MODEL, data))


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
        rows.append(total * min(1.0, SHARE * norm / np.linalg.norm(total)))
    return np.array(rows)


def test_unit_gradients_agree_with_a_record_by_record_reference(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], path: str
) -> None:
    data = draw_units(40)
    np.testing.assert_allclose(each(logistic, data, HUGE, path), reference(data, HUGE), atol=1e-5)
    np.testing.assert_allclose(each(logistic, data, 0.7, path), reference(data, 0.7), atol=2e-5)


def test_a_unit_with_one_record_that_is_not_finite_contributes_zero_and_the_others_all(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], path: str
) -> None:
    data = draw_units(6)
    before = each(logistic, data, 1.0, path)
    for rubbish in (torch.nan, torch.inf, -torch.inf):
        data.features[2, 0, 1] = rubbish
        after = each(logistic, data, 1.0, path)
        assert not after[2].any()
        np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))


def test_records_that_overflow_only_in_their_sum_are_dropped(make_loss: Callable[..., TrainedLoss], path: str) -> None:
    loss = make_loss([("select", [0], {"dim": 0, "index": 0}), ("mul", [4, 3], {})])
    data = UnitData((torch.zeros(1, 2, 3), torch.full((1, 2), 3e38)), torch.ones(1, 2, dtype=torch.bool))
    assert not each(loss, data, 1.0, path).any()


def test_a_unit_without_records_contributes_zero(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], path: str
) -> None:
    data = draw_units(3)
    data.mask[1] = False
    assert not each(logistic, data, 1.0, path)[1].any()


def test_a_parameter_that_the_loss_ignores_has_gradient_zero(make_loss: Callable[..., TrainedLoss], path: str) -> None:
    loss = make_loss([("sum", [2], {"dims": (), "keep": False})])
    data = UnitData((torch.ones(2, 1, 3), torch.ones(2, 1)), torch.ones(2, 1, dtype=torch.bool))
    assert not each(loss, data, 1.0, path).any()
