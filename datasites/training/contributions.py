"""What one layer adds to a unit's gradient: how long it is, and its sum over units, in the form that costs least.

Dense gradients, and rows of a table, are measured by the very numbers that are summed. The factored form never
computes a unit's gradient G = Σₜ gₜ xₜᵀ (what comes out of the layer at position t, times what goes in): it sums by
one product over all units, and it measures by

    ‖G‖² = Σₜₛ (gₜ · gₛ)(xₜ · xₛ).

Alone that is a trap: in float32 the terms can cancel to nothing while G is huge. So not that sum is used but an upper
bound of ‖G‖ that holds for numbers as computed. Let u = 2⁻²⁴. A dot product of m numbers in float32, in any order, is
off by at most 2mu‖a‖‖b‖ for mu ≤ ½ (Higham 2002, section 3.1), and by m · 2⁻¹²⁵ more where products are flushed to
zero. Let aₜ be the computed gₜ · gₜ, of m numbers, enlarged by 4mu of itself and by m · 2⁻¹⁰⁰; let bₜ be the same of
xₜ · xₜ, of m' numbers. They are no less than the true squares, and what is flushed is below u√(aₜaₛ). With S = Σₜ
√(aₜbₜ):

 - (gₜ · gₛ) is off by at most (2m + 1)u√(aₜaₛ), and (xₜ · xₛ) by (2m' + 1)u√(bₜbₛ). They are multiplied and added in
   float64, so the computed Q is off from ‖G‖² by at most εS², with ε = 4(m + m' + 1)u for (m + m')u ≤ ¼;
 - f and the products f · gₜ are rounded to float32; that makes this unit's own terms err by at most 4u · f · S;
 - all positions of a block of 128 units are added in float64, and there are at most 32 of each. As f · S ≤ c/√ε, and
   1/√ε is below 1200, that errs by at most 4096 · 2⁻⁵³ · 128 · 1200c < 10⁻⁷c, in the four blocks that the proof of
   `datasites.training.clipping` compares by less than 10⁻⁶c, for which it has room.

So G, with what rounding its own terms adds, is at most L = √(max(Q, 0) + εS²) + 4uS long, and L² is taken for its
squared length. If Q has cancelled, S has not: such a unit is shortened more than it need be, never less.

With one position nothing can cancel: √(a₁b₁) is the length, both measured as in `datasites.training.clipping`, and
taken for longer by 2⁻¹⁵ of it, for there are two to measure and f · g₁ is rounded before it is multiplied by x₁. Then a
coordinate of G is one product, and blocks are added in float32 as there. Of a table, too, a unit has one term a
coordinate: its look-ups of one row are added first, into one of them, and in place of the others stands exactly zero.
Each is added to its row in float64, with no block between, so that rows which nobody looked up cost nothing.

If anything in g or x is not finite, L is not either, for aₜ and bₜ are never zero; nor is it if a product of two
positions is beyond float32, as it can be where those of each with itself are not: the unit is dropped. Factors times g
that are flushed to zero are off by less than 10⁻³⁰ altogether: nothing beside a clipping norm of 10⁻⁶ or more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from datasites.training.clipping import (
    add_block,
    add_weighted,
    blocks,
    clipping_factors,
    finite,
    scaled,
    squared_lengths,
)

_UNIT_ROUNDING = 2.0**-24
_FLUSHED = 2.0**-100
_BOTH_ROUNDED = 1 + 2.0**-14
_MOST_POSITIONS = 32
_PASSES = 24
_SMALLEST = 2**12
_WIDEST = 2**14


@dataclass(frozen=True, eq=False)
class Contribution:
    """One parameter's: `squares` float64 [units], and `add`, which takes the units' factors and the parameter's
    float64 sum, and adds the clipped gradients to it in place."""

    squares: Tensor
    add: Callable[[Tensor, Tensor], None]


def add_clipped(found: Mapping[str, Contribution], norm: float, present: Tensor, sums: Mapping[str, Tensor]) -> None:
    """Add the gradients of the units that are `present` to `sums`, float64 by parameter, each shortened to `norm`."""
    coordinates = sum(total.numel() for total in sums.values())
    factors = clipping_factors([found[name].squares for name in sums], coordinates, norm, present)
    for name, total in sums.items():
        found[name].add(factors, total)


def dense(gradients: Tensor) -> Contribution:
    """Each unit's gradient as it is, float32 [units, …]."""
    return Contribution(squared_lengths(gradients), lambda factors, total: add_weighted(gradients, factors, total))


def product(left: Tensor, right: Tensor) -> Contribution:
    """Gradients Σₜ gₜ xₜᵀ of g [units, positions, m] and x [units, positions, m'] in the form that costs less."""
    if is_short(left.shape[1], left.shape[2], right.shape[2]):
        return factored(left, right)
    return dense(torch.bmm(left.transpose(1, 2), right))


def factored(left: Tensor, right: Tensor) -> Contribution:
    """Gradients as in `product`, without computing those of single units."""

    def add(factors: Tensor, total: Tensor) -> None:
        positions = left.shape[1]
        sides = (scaled(left, factors).flatten(0, 1), finite(right).flatten(0, 1))
        for one, other in zip(*(blocks(it, positions) for it in sides), strict=True):
            add_block(one.t() @ other if positions == 1 else one.double().t() @ other.double(), total)

    return Contribution(squared_bound(left, right), add)


def is_short(positions: int, left: int, right: int) -> bool:
    """Whether products of all pairs of positions cost less than a whole gradient, written once and read three times."""
    if positions == 1:
        return True
    if positions > _MOST_POSITIONS or left + right > _WIDEST or left * right < _SMALLEST:
        return False
    return positions**2 * (left + right) < _PASSES * left * right


def squared_bound(left: Tensor, right: Tensor) -> Tensor:
    """The square of the bound above, float64 [units], of g [units, positions, m] and x [units, positions, m']."""
    positions, high, wide = left.shape[1], left.shape[2], right.shape[2]
    if positions == 1:
        sides = [squared_lengths(it) + count * _FLUSHED for it, count in ((left, high), (right, wide))]
        return sides[0] * sides[1] * _BOTH_ROUNDED
    outer, inner = (torch.bmm(it, it.transpose(1, 2)).double() for it in (left, right))
    square = (outer * inner).sum((1, 2))
    square = torch.where(square.isfinite(), square.clamp(min=0.0), torch.inf)
    of_each = (_enlarged(outer.diagonal(dim1=1, dim2=2), high), _enlarged(inner.diagonal(dim1=1, dim2=2), wide))
    longest = (of_each[0] * of_each[1]).sqrt().sum(1)
    relative = 4 * (high + wide + 1) * _UNIT_ROUNDING
    rounding = 4 * _UNIT_ROUNDING
    return ((square + relative * longest.square()).sqrt() + rounding * longest).square()


def rows(gradients: Tensor, indices: Tensor, count: int) -> Contribution:
    """Gradients of a table of `count` rows: g [units, look-ups, m] of the rows `indices` [units, look-ups].

    Look-ups of one row by one unit are added first, at the first of them, and then measured and summed.
    """
    if indices.shape[1] == 1:
        return _rows(gradients, indices, count)
    same = indices[:, :, None] == indices[:, None, :]
    earlier = torch.ones(indices.shape[1], indices.shape[1], dtype=torch.bool).tril(-1)
    first = ~(same & earlier).any(2)
    return _rows(torch.bmm((same & first[:, :, None]).float(), gradients), indices, count)


def _rows(gradients: Tensor, indices: Tensor, count: int) -> Contribution:
    def add(factors: Tensor, total: Tensor) -> None:
        if total.shape != (count, gradients.shape[-1]):
            raise ValueError(f"Rows of {gradients.shape[-1]} numbers came for a table of {tuple(total.shape)}.")
        total.index_add_(0, indices.flatten(), scaled(gradients, factors).double().flatten(0, 1))

    return Contribution(squared_lengths(gradients), add)


def _enlarged(squares: Tensor, count: int) -> Tensor:
    return squares * (1 + 4 * count * _UNIT_ROUNDING) + count * _FLUSHED
