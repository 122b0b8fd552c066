"""Clipping: how long a unit's contribution is, and by how much it is shortened; every path to a sum goes through
here.

A unit's contribution to the sum of a step is f · G, its gradient G times a factor f. What is promised is ‖f · G‖ ≤ C
for whatever G a program can bring about. G is given as numbers in float32 that are both measured and summed, so that
measure and contribution cannot differ (where `datasites.training.contributions` measures otherwise, it says why it
may).

Sums of squares are taken in float32 over blocks of at most 256 numbers, and the blocks are added in float64. No
square is negative, so whatever the order of summation a block's relative error is at most 260 · 2⁻²⁴ < 1.6 · 10⁻⁵
(Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2), its root and the square of that included.
A square or a sum below 2⁻¹²⁶ may be flushed to zero: for p numbers that hides at most p · 2⁻¹²⁵. Hence ‖G‖ ≤ (1 + 0.8
· 10⁻⁵) · √(S + p · 2⁻¹²⁵) for the computed S, and f = min(1, C · (1 − 2⁻¹⁶) / √(S + p · 2⁻¹²⁵)) leaves 0.7 · 10⁻⁵ for
what rounding f and f · G to float32 adds, which is below 2⁻²² as long as f is no denormal number: below 2⁻¹²⁰ it is
taken for zero. Adding the contributions of many units rounds too, as every sum in float32 does; that is not any one
unit's.

A unit whose S is not finite contributes exactly zero. So no record can turn a release into NaN; and a gradient beyond
10¹⁹, whose squares float32 cannot hold, counts for nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 256
_SLACK = 2.0**-16
_SMALLEST_FACTOR = 2.0**-120
_FLUSHED = 2.0**-125


def squared_lengths(values: Tensor) -> Tensor:
    """The sum of squares of each unit's numbers [units, …], as the module says: float64 [units]."""
    flat = values.reshape(len(values), -1)
    whole = flat.shape[1] // _BLOCK * _BLOCK
    parts = [flat[:, whole:]] if whole < flat.shape[1] else []
    norms = [_norm(part) for part in parts]
    if whole:
        blocks = _norm(flat[:, :whole].reshape(len(flat), -1, _BLOCK))
        norms += [blocks.squeeze(1)] if whole == _BLOCK else [blocks]
    squares = [norm.double().square() for norm in norms]
    sums = [square if square.ndim == 1 else square.sum(1) for square in squares]
    return sums[0] if len(sums) == 1 else sums[0] + sums[1]


def clipping_factors(squares: Sequence[Tensor], coordinates: int, norm: float, present: Tensor) -> Tensor:
    """By what each unit's gradient is multiplied, so that it is at most `norm` long: float32 [units].

    Args:
        squares: of each part of the gradient, its squared length or an upper bound of it, float64 [units].
        coordinates: how many numbers a gradient has.
        present: bool [units]; the factor of any other unit is zero.
    """
    total = torch.stack(list(squares)).sum(0)
    factors = (norm * (1 - _SLACK) / (total + coordinates * _FLUSHED).sqrt()).clamp(max=1.0)
    counts = present & total.isfinite() & (factors > _SMALLEST_FACTOR)
    return torch.where(counts, factors, 0.0).float()


def weighted_sum(values: Tensor, factors: Tensor) -> Tensor:
    """Σ factor · value over units [units, …], where a factor of zero makes zero of whatever the unit holds: […]."""
    return torch.mv(finite(values.reshape(len(values), -1)).t(), factors).reshape(values.shape[1:])


def finite(values: Tensor) -> Tensor:
    """`values`, and zero for each that is not finite; no unit that counts has such a one."""
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def scaled(values: Tensor, factors: Tensor) -> Tensor:
    """`values` [units, …] multiplied by their units' factors; a factor of zero makes zero of whatever is there."""
    return finite(values * beside(factors, values))


def beside(per_unit: Tensor, values: Tensor) -> Tensor:
    """Shape [units] → [units, 1, …], so that it broadcasts against `values`."""
    return per_unit.reshape(-1, *[1] * (values.ndim - 1))


def _norm(values: Tensor) -> Tensor:
    result: Tensor = torch.linalg.vector_norm(values, dim=-1)
    return result
