"""Clipping: how long a unit's contribution is, and by how much it is shortened; every path to a sum goes through
here.

A unit's contribution to the sum of a step is f · G, its gradient G times a factor f. What is promised is ‖f · G‖ ≤ c
for whatever G a program can bring about. G is given as numbers in float32 that are both measured and summed, so that
measure and contribution cannot differ (where `datasites.training.contributions` measures otherwise, it says why it
may).

Sums of squares are taken in float32 over blocks of at most 256 numbers, and the blocks are added in float64. No
square is negative, so whatever the order of summation a block's relative error is at most 260 · 2⁻²⁴ < 1.6 · 10⁻⁵
(Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2), its root and the square of that included.
A square or a sum below 2⁻¹²⁶ may be flushed to zero: for p numbers that hides at most p · 2⁻¹²⁵. Hence ‖G‖ ≤ (1 + 0.8
· 10⁻⁵) · √(S + p · 2⁻¹²⁵) for the computed S, and f = min(1, c · (1 − 2⁻¹⁶) / √(S + p · 2⁻¹²⁵)) leaves 0.7 · 10⁻⁵ for
what rounding f and f · G to float32 adds, which is below 2⁻²² as long as f is no denormal number: below 2⁻¹²⁰ it is
taken for zero.

Adding contributions rounds too, and that is not any one unit's: one unit more can carry a running sum over a power of
two, after which every later addition rounds otherwise (Casacuberta et al. 2022, Widespread Underestimation of
Sensitivity in Differentially Private Libraries). But what noise is measured by is how far one unit more moves the total
of a step as it is computed: at most the clipping norm C. Hence c is less, C · (1 − 2⁻⁷); with u = 2⁻²⁴:

 - In float32 n ≤ 128 units at a time are added, a block (`blocks`), and only where each has one term a coordinate, a
   product of two numbers. Such a sum, in any order, is off by at most 1.01nu · Σ|v| in each coordinate (Higham 2002,
   section 3.1), and so in length by at most 1.01n²uc, which is no more than 1.01 · 2⁻¹⁰c. Products and sums below 2⁻¹²⁶
   may be flushed to zero, which adds at most 2n · √p · 2⁻¹²⁶ for p numbers: below 10⁻³¹, and c is above 0.9 · 10⁻⁶.
 - Sampled units come into blocks in an order drawn by lot (`datasites.training.data.sample`). An order of m + 1 units
   by lot is one of m units by lot, in which the new unit takes a place drawn by lot and the unit that was there goes to
   the end. So paired, the step with a unit and the step without it differ in two blocks, that of the place and the
   last. The lots do not depend on the unit, so the two steps diverge by no more than the worst such pair does. Four
   sums err by at most 4.04 · 2⁻¹⁰c.
 - Sums of blocks, single units' rows of a table, and sums of workers are added in float64, and the noise too
   (`datasites.training.optimizer`). From N units a coordinate takes no more than N terms, together at most 1.01Nc long:
   they err by at most 1.02 · N² · 2⁻⁵³c in either step, in both by 1.02 · 2⁻¹⁰c as N ≤ `MOST_UNITS`, in whatever order
   workers add them. Which worker has a unit is drawn by lot, and not anew for the others if there is one unit more
   (`datasites.catalog.shards`): both steps still differ in two blocks, of one worker.

So the total moves by at most c · (1 + 5.06 · 2⁻¹⁰), and that is below C; what it costs is that 0.8% of C is not used.
Where a unit has more terms a coordinate than one, `datasites.training.contributions` adds those of a block in float64;
that errs by so little that there is room for it.

A unit whose S is not finite contributes exactly zero. So no record can turn a release into NaN; and a gradient beyond
10¹⁹, whose squares float32 cannot hold, counts for nothing.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from policies.errors import InvalidInputError

SHARE = 1 - 2.0**-7
"""How much of the clipping norm a contribution may be long: c / C."""
MOST_UNITS = 2**21
"""How many units, or places for them, all workers together may have in a step."""
BLOCK_UNITS = 128
"""How many units are added in float32."""
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
    """By what each unit's gradient is multiplied, so that it moves a step's sum by at most `norm`: float32 [units].

    Args:
        squares: of each part of the gradient, its squared length or an upper bound of it, float64 [units].
        coordinates: how many numbers a gradient has.
        present: bool [units]; the factor of any other unit is zero.
    """
    total = functools.reduce(torch.add, squares)
    factors = (norm * SHARE * (1 - _SLACK) / (total + coordinates * _FLUSHED).sqrt()).clamp(max=1.0)
    counts = present & (total < torch.inf) & (factors > _SMALLEST_FACTOR)
    return torch.where(counts, factors, 0.0).float()


def add_weighted(values: Tensor, factors: Tensor, total: Tensor) -> None:
    """Add Σ factor · value over units [units, …] to `total`, float64 […].

    A factor of zero makes zero of whatever the unit holds.
    """
    flat = finite(values.reshape(len(values), -1))
    for part, weights in zip(blocks(flat), blocks(factors), strict=True):
        add_block(torch.mv(part.t(), weights).reshape(values.shape[1:]), total)


def blocks(values: Tensor, positions: int = 1) -> Sequence[Tensor]:
    """`values` [units × positions, …], those of `BLOCK_UNITS` units at a time."""
    found: Sequence[Tensor] = torch.split(values, BLOCK_UNITS * positions)
    return found


def add_block(block: Tensor, total: Tensor) -> None:
    """Add the sum of one block to `total` in float64.

    Raises:
        ValueError: it has another shape, and would be added in several places.
    """
    if block.shape != total.shape:
        raise ValueError(f"A sum of shape {tuple(block.shape)} came for one of {tuple(total.shape)}.")
    total.add_(block)


def require_addable(units: int) -> None:
    """Check that a step of so many places for units, those of all workers together, can be summed.

    Raises:
        InvalidInputError: rounding could add up to more than the proof above allows.
    """
    if units > MOST_UNITS:
        raise InvalidInputError(f"A step of {units} units is too large; ask for a lower sampling rate.")


def finite(values: Tensor) -> Tensor:
    """`values`, and zero for each that is not finite; no unit that counts has such a one."""
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def scaled(values: Tensor, factors: Tensor) -> Tensor:
    """`values` [units, …] multiplied by their units' factors; a factor of zero makes zero of whatever is there."""
    return finite(values) * beside(factors, values)


def beside(per_unit: Tensor, values: Tensor) -> Tensor:
    """Shape [units] → [units, 1, …], so that it broadcasts against `values`."""
    return per_unit.reshape(-1, *[1] * (values.ndim - 1))


def _norm(values: Tensor) -> Tensor:
    result: Tensor = torch.linalg.vector_norm(values, dim=-1)
    return result
