"""The layout of a round's vector: the update's coordinates, then the metrics' counts, as the terms fix them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.quantise import Quantiser
from policies.errors import InvalidInputError
from policies.terms import Terms

METRIC_QUANTISER = Quantiser(bits=25, value_range=2.0**22)
"""Counts over holdout units travel in steps of a quarter of a unit, up to 4 million units a site.

The same for every study, since sites that quantised differently would add up to nonsense. 100 sites stay below 2³¹.
"""


@dataclass(frozen=True)
class Opened:
    """What one sum tells: the weighted average of the updates, and the metrics' counts added over the cohort.

    `update` has one float64 a parameter, or is None in a round that does not train. `metrics` has for each metric
    Σ v, then Σ (1 − v) (noised, float64), or is None in a round that does not evaluate.
    """

    update: NDArray[np.float64] | None
    metrics: NDArray[np.float64] | None


def vector_length(terms: Terms, round_number: int) -> int:
    """How many 32-bit coordinates each site sends in `round_number`."""
    updates, metrics = _sizes(terms, round_number)
    return updates + metrics


def encode(
    terms: Terms,
    round_number: int,
    update: NDArray[np.float32] | None,
    metrics: NDArray[np.float64] | None,
    weight: int,
) -> NDArray[np.uint32]:
    """Quantise a site's update (times its public `weight`) and its metrics (times 1) into one fresh vector.

    Raises:
        InvalidInputError: a part has another size than the terms give this round, or holds a value that is not finite.
    """
    sizes = _sizes(terms, round_number)
    got = tuple(0 if part is None else part.size for part in (update, metrics))
    if got != sizes or any(part is not None and part.ndim != 1 for part in (update, metrics)):
        raise InvalidInputError(
            f"Round {round_number} brought {got[0]} update and {got[1]} metric coordinates; "
            f"its terms ask for {sizes[0]} and {sizes[1]}, each in one dimension."
        )
    parts = []
    if update is not None:
        parts.append(_update_quantiser(terms).quantise(update, weight))
    if metrics is not None:
        parts.append(METRIC_QUANTISER.quantise(metrics, 1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def decode(terms: Terms, round_number: int, total: NDArray[np.uint32]) -> Opened:
    """Read the sum (modulo 2³²) over the whole cohort.

    Raises:
        InvalidInputError: the sum has another length than the terms give this round.
        NotAuthenticError: the masks did not cancel.
    """
    updates, metrics = _sizes(terms, round_number)
    if total.size != updates + metrics:
        raise InvalidInputError(
            f"The sum of round {round_number} has {total.size} coordinates; its terms ask for {updates + metrics}."
        )
    sites = len(terms.cohort)
    total_weight = sum(member.weight for member in terms.cohort)
    return Opened(
        update=_update_quantiser(terms).dequantise(total[:updates], total_weight) if updates else None,
        metrics=METRIC_QUANTISER.dequantise(total[updates:], sites) * sites if metrics else None,
    )


def _update_quantiser(terms: Terms) -> Quantiser:
    return Quantiser(terms.secure_averaging.bits, terms.secure_averaging.update_range)


def _sizes(terms: Terms, round_number: int) -> tuple[int, int]:
    if not 1 <= round_number <= terms.sums:
        raise InvalidInputError(f"Round {round_number} does not exist; these terms have rounds 1 to {terms.sums}.")
    return (
        terms.programs.parameter_count if terms.trains_in(round_number) else 0,
        2 * len(terms.evaluation.metrics) if terms.evaluates_in(round_number) else 0,
    )
