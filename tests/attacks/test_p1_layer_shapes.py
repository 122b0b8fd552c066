"""P1 on the layer-wise path: biases of odd shapes, and products beyond what float32 can hold."""

import numpy as np
import pytest
import torch

from datasites.training.data import UnitData
from datasites.training.layers import find_layers
from datasites.training.optimizer import SecretNoiseOptimizer, TrainedParameter
from datasites.training.randomness import SecretStream
from policies.programs.format import Program
from tests.attacks.crafted_study import training
from tests.clipped_sums import contributions, recorded, trained_loss
from tests.small_programs import SUM, drawn, small_program

COPIES = 50


def with_bias(shape: tuple[int, ...]) -> Program:
    return small_program(
        {"bias": shape, "weight": (6, 5)},
        ((5,), "float32"),
        [("y", "linear", ["features", "weight", "bias"], {}), ("loss", "sum", ["y"], SUM)],
    )


def units(count: int, width: int) -> UnitData:
    features = torch.randn(count, 1, width, generator=torch.Generator().manual_seed(5))
    return UnitData((features, torch.zeros(count, 1)), torch.ones(count, 1, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(6,), (1, 6), (COPIES, 6), (1,), ()])
@pytest.mark.parametrize("path", ["full", "layer-wise"])
def test_a_bias_of_any_shape_has_its_own_gradient(shape: tuple[int, ...], path: str) -> None:
    """Were one sum given out for a bias [k, o], its k copies would each be noised: σ / √k in their mean."""
    program, data = with_bias(shape), units(4, 5)
    values = drawn(program)
    found = contributions(recorded(trained_loss(program, values), data, 1.0, path), values, data)
    assert found["bias"].shape == (4, *shape)
    whole = torch.cat([it.reshape(4, -1) for it in found.values()], 1).double()
    assert float(whole.norm(dim=1).max()) <= 1.0
    assert {layer.bias for layer in find_layers(program)} == {"bias" if shape == (6,) else None}


def test_a_sum_of_another_shape_than_its_parameter_is_never_noised() -> None:
    parameter = TrainedParameter(torch.zeros(COPIES, 6))
    optimizer = SecretNoiseOptimizer([parameter], training(), 1.0, SecretStream())
    parameter.summed_grad = torch.zeros(6)
    with pytest.raises(RuntimeError):
        optimizer.step()


def hidden_length() -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients g [2, 64] and inputs x [2, 64] where g₁ · g₂ is beyond float32 and neither square is: rounding in turn
    drops small squares and keeps the products between them."""
    largest, step = float(np.finfo(np.float32).max), 2.0**104
    half = np.sqrt(step / 2)
    small, large = np.float32(half * (1 - 2e-4)), np.float32(half * (1 + 4e-4))
    first = np.float32(np.sqrt(largest * (1 - 2e-6)))
    second = np.float32(np.sqrt(largest - float(first) ** 2 - 32 * step))
    g = np.zeros((2, 64), np.float32)
    g[:, :2] = first, second
    g[0, 2::2], g[0, 3::2], g[1, 2::2], g[1, 3::2] = small, large, large, small
    g[1] *= -1
    x = np.zeros((2, 64), np.float32)
    x[0, 0] = x[1, 1] = 1
    x[:, 2] = 1e-3
    return torch.from_numpy(g), torch.from_numpy(x)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_a_product_of_positions_beyond_float32_hides_no_length(count: int) -> None:
    program = small_program(
        {"weight": (64, 64)},
        ((1,), "float32"),
        [
            ("inputs", "mul", ["x", "features"], {}),
            ("y", "linear", ["inputs", "weight"], {}),
            ("weighed", "mul", ["y", "g"], {}),
            ("loss", "sum", ["weighed"], SUM),
        ],
        {"g": (2, 64), "x": (2, 64)},
    )
    g, x = hidden_length()
    data = UnitData((torch.ones(count, 1, 1), torch.zeros(count, 1)), torch.ones(count, 1, dtype=torch.bool))
    loss = trained_loss(program, {"g": g, "x": x})
    values = {"weight": torch.zeros(64, 64)}
    found = contributions(recorded(loss, data, 1.0, "layer-wise"), values, data)["weight"]
    assert float(found.flatten(1).norm(dim=1).max()) <= 1.0
