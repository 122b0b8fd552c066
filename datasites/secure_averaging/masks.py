"""Pairwise masks: what one site of a pair adds, the other subtracts (Bonawitz et al. 2017, §4.2, modulo 2³²)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from datasites.secure_averaging.keystream import BLOCK_NUMBERS, Keystream
from policies.errors import InvalidInputError
from policies.statements.digests import frame


@dataclass(frozen=True)
class PairMask:
    """The mask of one pair in one round: the key that both expand, and whether this site is the one that adds."""

    key: bytes = field(repr=False)
    adds: bool


def pair_mask(private_key: X25519PrivateKey, peer_key: bytes, context: bytes, own_site: str, peer: str) -> PairMask:
    """Agree on a mask with `peer`: X25519 (RFC 7748), then HKDF-SHA256 (RFC 5869) salted with the round's context.

    Args:
        peer_key: the peer's raw public key for this round, 32 bytes.
        context: the round's context; sites whose contexts differ get unrelated keys.

    Raises:
        InvalidInputError: the peer's key is of low order, so that anybody could know the secret.
    """
    try:
        secret = private_key.exchange(X25519PublicKey.from_public_bytes(peer_key))
    except ValueError as error:
        raise InvalidInputError(f"The mask key of site {peer} is of low order; it must advertise another.") from error
    first, second = sorted((own_site, peer))
    info = frame("pair-mask", bytes.fromhex(first), bytes.fromhex(second))
    key = HKDF(algorithm=SHA256(), length=32, salt=context, info=info).derive(secret)
    return PairMask(key, adds=own_site == first)


class PairMasks:
    """All masks of one site in one round, applied to its vector block after block, from its first coordinate on."""

    def __init__(self, masks: Sequence[PairMask]) -> None:
        self._streams = [(Keystream(mask.key), np.add if mask.adds else np.subtract) for mask in masks]
        self._numbers = np.empty(BLOCK_NUMBERS, "<u4")

    def apply(self, block: NDArray[np.uint32]) -> None:
        """Add or subtract every mask on the next coordinates (at most `BLOCK_NUMBERS`), in place, modulo 2³²."""
        numbers = self._numbers[: block.size]
        for stream, combine in self._streams:
            stream.fill(numbers)
            combine(block, numbers, out=block)
