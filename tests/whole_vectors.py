"""Secure averaging over whole vectors: what the product does block by block, collected for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from datasites.secure_averaging.advertisement import Advertisement
from datasites.secure_averaging.coordinator import RunningSum
from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.layout import decode, quantised_blocks
from datasites.secure_averaging.masks import PairMask, PairMasks
from datasites.secure_averaging.site import masked_blocks
from policies.masked_vector import running_vector_digest, sign_vector
from policies.terms import Terms

Update = NDArray[np.floating[Any]] | None
Metrics = NDArray[np.float64] | None


@dataclass(frozen=True)
class MaskedUpdate:
    """One site's whole masked vector (little-endian uint32) for one round, as announced and signed."""

    round_context: bytes
    vector: bytes
    vector_digest: str
    signature: bytes


@dataclass(frozen=True)
class Whole:
    """What a sum tells, as `layout.Opened`, with the whole update."""

    update: NDArray[np.float64] | None
    metrics: Metrics


def blocks_of(update: Update) -> tuple[NDArray[Any], ...]:
    """A whole update, or none, as the blocks that the product takes."""
    return () if update is None else (update,)


def vector_digest(vector: bytes) -> str:
    """The digest that a site signs."""
    running = running_vector_digest(len(vector) // 4)
    running.update(vector)
    return running.hexdigest()


def mask_update(
    terms: Terms,
    round_number: int,
    update: Update,
    metrics: Metrics,
    round_key: bytes,
    roster: Sequence[Advertisement],
    own_site: str,
    context: bytes,
    signing_key: Ed25519PrivateKey,
) -> MaskedUpdate:
    """One site's answer, masked and signed."""
    blocks = masked_blocks(terms, round_number, blocks_of(update), metrics, round_key, roster, own_site, context)
    vector = b"".join(block.tobytes() for block in blocks)
    digest = vector_digest(vector)
    return MaskedUpdate(context, vector, digest, sign_vector(signing_key, own_site, context, digest))


def add(running: RunningSum, site: str, answer: MaskedUpdate) -> None:
    """Add one answer to a running sum, its vector in one piece."""
    running.add(site, answer.round_context, answer.vector_digest, answer.signature, (answer.vector,))


def open_sum(
    masked: Mapping[str, MaskedUpdate], terms: Terms, round_number: int, context: bytes, pinned: Mapping[str, bytes]
) -> NDArray[np.uint32]:
    """The total of these answers."""
    running = RunningSum(terms, round_number, context, pinned)
    for site, answer in masked.items():
        add(running, site, answer)
    return running.total()


def encode(terms: Terms, round_number: int, update: Update, metrics: Metrics, weight: int) -> NDArray[np.uint32]:
    """A site's vector before it is masked."""
    blocks = quantised_blocks(terms, round_number, blocks_of(update), metrics, weight)
    return np.concatenate([np.empty(0, "<u4"), *(block.copy() for block in blocks)])


def opened(terms: Terms, round_number: int, total: NDArray[np.uint32]) -> Whole:
    """What a sum tells."""
    read = decode(terms, round_number, total)
    return Whole(None if read.update is None else np.concatenate(list(read.update)), read.metrics)


def apply_masks(vector: NDArray[np.uint32], masks: Sequence[PairMask]) -> None:
    """Apply masks to a whole vector, in place."""
    streams = PairMasks(masks)
    for start in range(0, vector.size, BLOCK_NUMBERS):
        streams.apply(vector[start : start + BLOCK_NUMBERS])
