"""The coordinator's side of a round: check that every site answered this very round, and add the answers up."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.layout import vector_length
from datasites.secure_averaging.site import MaskedUpdate
from policies.errors import InvalidInputError, NotAuthenticError, UnavailableError
from policies.terms import Terms


def open_sum(
    masked: Mapping[str, MaskedUpdate],
    terms: Terms,
    round_number: int,
    context: bytes,
    pinned: Mapping[str, bytes],
) -> NDArray[np.uint32]:
    """Add the whole cohort's masked vectors modulo 2³²; the masks cancel, and `layout.decode` reads the sum.

    Args:
        masked: each site's answer, by its party id.
        context: the coordinator's own `round_context` for this round.
        pinned: each site's Ed25519 signing key (raw, 32 bytes), by its party id.

    Raises:
        UnavailableError: an answer is missing; the sum opens for the whole cohort or not at all.
        NotAuthenticError: an answer is by a stranger, wrongly signed, or for another context.
        InvalidInputError: an answer has another length than the terms give this round.
    """
    cohort = [member.site for member in terms.cohort]
    if missing := [site for site in cohort if site not in masked]:
        raise UnavailableError(
            f"Round {round_number} lacks the answers of {', '.join(missing)}; the sum opens only with all "
            f"{len(cohort)} sites. Wait for them, or resume the study when they are back."
        )
    if len(masked) != len(cohort):
        raise NotAuthenticError("An answer comes from a site outside the cohort; only sites that the terms name count.")
    length = vector_length(terms, round_number)
    total = np.zeros(length, "<u4")
    for site in cohort:
        update = masked[site]
        if len(update.vector) != 4 * length:
            raise InvalidInputError(
                f"Site {site} sent {len(update.vector)} bytes for round {round_number}; {4 * length} were expected."
            )
        if update.round_context != context:
            raise NotAuthenticError(
                f"Site {site} answered for another round, roster or global model than the coordinator's."
            )
        if site not in pinned:
            raise NotAuthenticError(f"Site {site} is not pinned here; exchange identity cards with it first.")
        update.verify(site, pinned[site])
        total += np.frombuffer(update.vector, "<u4")
    return total
