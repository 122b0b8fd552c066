"""What a trainer's result must look like before it may be masked: exactly the declared vectors, all of them finite."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError, RefusedError
from policies.terms import Terms


def result_sizes(terms: Terms, round_number: int) -> tuple[int, int]:
    """How many coordinates of the update, and how many counts of an evaluation, the terms let `round_number` release.

    Raises:
        InvalidInputError: the terms have no such round.
    """
    if not 1 <= round_number <= terms.sums:
        raise InvalidInputError(f"Round {round_number} does not exist; these terms have rounds 1 to {terms.sums}.")
    return (
        terms.programs.parameter_count if terms.trains_in(round_number) else 0,
        terms.evaluation.counts if terms.evaluates_in(round_number) else 0,
    )


def checked_metrics(
    terms: Terms, round_number: int, metrics: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], ...]:
    """The evaluation's counts, float64 [evaluation.counts], as the only part; none in a round that does not evaluate.

    Raises:
        RefusedError: they are missing, were not asked for, have another size, or are not finite.
    """
    _, size = result_sizes(terms, round_number)
    if (metrics is None) != (size == 0) or (metrics is not None and metrics.shape != (size,)):
        raise _other_size("metrics")
    if metrics is None:
        return ()
    _require_finite("metrics", metrics)
    return (metrics,)


def checked_update(
    terms: Terms, round_number: int, blocks: Iterable[NDArray[np.float64]]
) -> Iterator[NDArray[np.float64]]:
    """Hand on the update's blocks as they come, float64, none of them in a round that does not train.

    Each is checked before it is handed on, and the last (a copy of it) only once `blocks` has ended: whoever got the
    whole update got exactly what the terms let out. A block is valid as long as the one it was made from.

    Raises:
        RefusedError: the update is shorter or longer than the terms say, or a value is not finite.
    """
    left, _ = result_sizes(terms, round_number)
    incoming = iter(blocks)
    last: NDArray[np.float64] | None = None
    for block in incoming:
        if block.ndim != 1 or block.size > left:
            raise _other_size("update")
        _require_finite("update", block)
        left -= block.size
        if left == 0 and block.size:
            last = block.copy()
            break
        yield block
    if left or any(block.size for block in incoming):
        raise _other_size("update")
    if last is not None:
        yield last


def _other_size(what: str) -> RefusedError:
    return RefusedError(f"The round's {what} is not what the terms let it release; nothing was released.")


def _require_finite(what: str, values: NDArray[np.floating[Any]]) -> None:
    if not bool(np.isfinite(values).all()):
        raise RefusedError(f"The round's {what} holds values that are not finite; nothing was released.")
