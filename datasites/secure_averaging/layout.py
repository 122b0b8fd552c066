"""The layout of a round's vector: the update's coordinates, then the evaluation's counts, as the terms fix them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.quantise import Quantiser, Rounding
from policies.disclosure.round_result import checked_metrics, checked_update, result_sizes
from policies.errors import InvalidInputError
from policies.quantiser import COUNT_BITS, COUNT_RANGE
from policies.terms import Terms

METRIC_QUANTISER = Quantiser(COUNT_BITS, COUNT_RANGE)

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Opened:
    """What one sum tells: the weighted average of the updates, and the evaluation's counts added over the cohort.

    `update` gives one float64 a parameter, block after block and once only, or is None in a round that does not train.
    `metrics` has for each metric Σ v and Σ (1 − v), then for each histogram label 0's bins and label 1's (noised,
    float64), or is None in a round that does not evaluate.
    """

    update: Iterator[NDArray[np.float64]] | None
    metrics: NDArray[np.float64] | None


def vector_length(terms: Terms, round_number: int) -> int:
    """How many 32-bit coordinates each site sends in `round_number`."""
    return sum(result_sizes(terms, round_number))


def quantised_blocks(
    terms: Terms,
    round_number: int,
    update_blocks: Iterable[NDArray[np.float64]],
    metrics: NDArray[np.float64] | None,
    weight: int,
) -> Iterator[NDArray[np.uint32]]:
    """Quantise a site's update (times its public `weight`) and its metrics (times 1), a block at a time.

    A block has at most `BLOCK_NUMBERS` coordinates (little-endian), may be changed by whoever takes it, and is valid
    until the next is taken. The last block of the update comes only once `update_blocks` has ended.

    Raises:
        RefusedError: a part has another size than the terms give this round, or holds a value that is not finite; the
            metrics are checked before the first block.
    """
    parts: tuple[tuple[Quantiser, int, Iterator[NDArray[Any]]], ...] = (
        (_update_quantiser(terms), weight, checked_update(terms, round_number, _stretches(update_blocks))),
        (METRIC_QUANTISER, 1, _stretches(checked_metrics(terms, round_number, metrics))),
    )
    return _rounded(parts)


def decode(terms: Terms, round_number: int, total: NDArray[np.uint32]) -> Opened:
    """Read the sum (modulo 2³²) over the whole cohort; all of it is checked before any of it is given.

    Raises:
        InvalidInputError: the sum has another length than the terms give this round.
        NotAuthenticError: the masks did not cancel.
    """
    updates, metrics = result_sizes(terms, round_number)
    if total.size != updates + metrics:
        raise InvalidInputError(
            f"The sum of round {round_number} has {total.size} coordinates; its terms ask for {updates + metrics}."
        )
    sites = len(terms.cohort)
    total_weight = sum(member.weight for member in terms.cohort)
    quantiser, update, counts = _update_quantiser(terms), total[:updates], total[updates:]
    quantiser.require_reach(update, total_weight)
    METRIC_QUANTISER.require_reach(counts, sites)
    return Opened(
        update=(quantiser.dequantise(block, total_weight) for block in _stretches([update])) if updates else None,
        metrics=METRIC_QUANTISER.dequantise(counts, sites) * sites if metrics else None,
    )


def _rounded(parts: Iterable[tuple[Quantiser, int, Iterator[NDArray[Any]]]]) -> Iterator[NDArray[np.uint32]]:
    room = np.empty(BLOCK_NUMBERS, "<i4")
    for quantiser, weight, stretches in parts:
        rounding = Rounding(quantiser, weight)
        for values in stretches:
            block = room[: values.size]
            rounding.quantise(values, block)
            yield block.view("<u4")


def _stretches(blocks: Iterable[NDArray[_Number]]) -> Iterator[NDArray[_Number]]:
    """The same values in order, never more than `BLOCK_NUMBERS` at a time, so that a stretch stays in cache."""
    for block in blocks:
        for start in range(0, len(block), BLOCK_NUMBERS):
            yield block[start : start + BLOCK_NUMBERS]


def _update_quantiser(terms: Terms) -> Quantiser:
    return Quantiser(terms.secure_averaging.bits, terms.secure_averaging.update_range)
