"""A site's answer to a round: its result quantised and masked for the whole cohort, block by block."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from datasites.secure_averaging.advertisement import Advertisement, require_cohort
from datasites.secure_averaging.layout import quantised_blocks
from datasites.secure_averaging.masks import PairMasks, pair_mask
from policies.errors import InvalidInputError
from policies.terms import Terms


def masked_blocks(
    terms: Terms,
    round_number: int,
    update_blocks: Iterable[NDArray[np.float64]],
    metrics: NDArray[np.float64] | None,
    round_key: bytes,
    roster: Sequence[Advertisement],
    own_site: str,
    context: bytes,
) -> Iterator[NDArray[np.uint32]]:
    """Quantise and mask one round's result; gives the masked vector (little-endian) in blocks that fit the cache.

    A block is valid until the next one is taken: hash it, seal it or copy it before. The last block of the update
    comes only once `update_blocks` has ended, so a result that is refused never gives a complete masked vector.

    It touches no state: call it once a round and keep the answer. A second call with another result under the same
    context would show the difference of the two results; so would what had been given out of a call that failed.

    Args:
        update_blocks: the update, float64 [parameter_count] in blocks of any size; none in a round that does not train.
        metrics: noised counts, float64 [evaluation.counts], or None in a round that does not evaluate.
        round_key: the raw private half of this site's advertised key for this round.
        roster: the advertisements that `verify_roster` accepted.
        context: `round_context` of that roster, this round and its global model.

    Raises:
        RefusedError: the roster is not exactly the cohort of the terms (at once), or the result is not what the terms
            let this round release (the metrics at once, the update when its blocks are taken).
        InvalidInputError: the key is not the one advertised for the round, or the terms do not name the site; at once.
    """
    require_cohort(roster, terms)
    quantised = quantised_blocks(terms, round_number, update_blocks, metrics, _weight(terms, own_site))
    private_key = X25519PrivateKey.from_private_bytes(round_key)
    own = next(entry for entry in roster if entry.site == own_site)
    if private_key.public_key().public_bytes_raw() != own.key(round_number):
        raise InvalidInputError(f"The mask key given is not the one this site advertised for round {round_number}.")
    masks = PairMasks(
        [
            pair_mask(private_key, entry.key(round_number), context, own_site, entry.site)
            for entry in roster
            if entry.site != own_site
        ]
    )
    return _masked(quantised, masks)


def _masked(blocks: Iterator[NDArray[np.uint32]], masks: PairMasks) -> Iterator[NDArray[np.uint32]]:
    for block in blocks:
        masks.apply(block)
        yield block


def _weight(terms: Terms, site: str) -> int:
    member = terms.member(site)
    if member is None:
        raise InvalidInputError("These terms do not name this site; it has no share in their average.")
    return member.weight
