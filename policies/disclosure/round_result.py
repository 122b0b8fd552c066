"""What a trainer's result must look like before it may be masked: exactly the declared vectors, all of them finite."""

import numpy as np
from numpy.typing import NDArray

from policies.errors import RefusedError
from policies.terms import Terms


def check_round_result(
    terms: Terms, round_number: int, update: NDArray[np.float32] | None, metrics: NDArray[np.float64] | None
) -> None:
    """Refuse a result that is not what the terms let this round release.

    `update` is float32 [parameter_count] in a training round and None otherwise; `metrics` float64 [2 × metrics] in a
    round that evaluates and None otherwise.

    Raises:
        RefusedError: a part is missing, was not asked for, has another size, or is not finite.
    """
    update_size = terms.programs.parameter_count if terms.trains_in(round_number) else None
    metrics_size = 2 * len(terms.evaluation.metrics) if terms.evaluates_in(round_number) else None
    for what, size, values in (("update", update_size, update), ("metrics", metrics_size, metrics)):
        if (values is None) != (size is None) or (values is not None and values.shape != (size,)):
            raise RefusedError(f"The round's {what} is not what the terms let it release; nothing was released.")
        if values is not None and not bool(np.isfinite(values).all()):
            raise RefusedError(f"The round's {what} holds values that are not finite; nothing was released.")
