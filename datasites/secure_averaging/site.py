"""A site's answer to a round: its result quantised, masked for the whole cohort and signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from datasites.secure_averaging.advertisement import Advertisement, require_cohort
from datasites.secure_averaging.layout import encode
from datasites.secure_averaging.masks import apply_masks, pair_mask
from policies.errors import InvalidInputError
from policies.statements.digests import digest
from policies.statements.signed import sign, verify
from policies.terms import Terms

_DOMAIN = "masked-update"


@dataclass(frozen=True)
class MaskedUpdate:
    """One site's masked vector (little-endian uint32) for one round, and its signature (64 bytes)."""

    round_context: bytes
    vector: bytes
    signature: bytes

    @cached_property
    def vector_digest(self) -> str:
        """The digest (hexadecimal) that the vector is signed and announced under."""
        return digest("masked-vector", self.vector)

    def verify(self, site: str, signing_key: bytes) -> None:
        """Check that `site`, whose pinned Ed25519 key is `signing_key`, sent exactly this vector in this context.

        Raises:
            NotAuthenticError: the bytes, the context or the signer differ.
        """
        parts = _signed_parts(site, self.round_context, self.vector_digest)
        verify(signing_key, self.signature, _DOMAIN, *parts, what=f"the masked update of site {site}")


def mask_update(
    terms: Terms,
    round_number: int,
    trained: NDArray[np.float32] | None,
    metrics: NDArray[np.float64] | None,
    round_key: bytes,
    roster: Sequence[Advertisement],
    own_site: str,
    context: bytes,
    signing_key: Ed25519PrivateKey,
) -> MaskedUpdate:
    """Quantise, mask and sign one round's result. It touches no state: call it once a round and keep the answer.

    A second call with another result under the same context would show the difference of the two results.

    Args:
        trained: the update, float32[parameter_count], or None in a round that does not train.
        metrics: noised counts, float64[2 × metrics], or None in a round that does not evaluate.
        round_key: the raw private half of this site's advertised key for this round.
        roster: the advertisements that `verify_roster` accepted.
        context: `round_context` of that roster, this round and its global model.

    Raises:
        RefusedError: the roster is not exactly the cohort of the terms.
        InvalidInputError: the result does not fit the round, or the key is not the one advertised for it.
    """
    require_cohort(roster, terms)
    vector = encode(terms, round_number, trained, metrics, _weight(terms, own_site))
    private_key = X25519PrivateKey.from_private_bytes(round_key)
    own = next(entry for entry in roster if entry.site == own_site)
    if private_key.public_key().public_bytes_raw() != own.key(round_number):
        raise InvalidInputError(f"The mask key given is not the one this site advertised for round {round_number}.")
    apply_masks(
        vector,
        [
            pair_mask(private_key, entry.key(round_number), context, own_site, entry.site)
            for entry in roster
            if entry.site != own_site
        ],
    )
    content = vector.astype("<u4", copy=False).tobytes()
    signature = sign(signing_key, _DOMAIN, *_signed_parts(own_site, context, digest("masked-vector", content)))
    return MaskedUpdate(context, content, signature)


def _signed_parts(site: str, context: bytes, vector_digest: str) -> tuple[bytes, bytes, bytes]:
    return bytes.fromhex(site), context, bytes.fromhex(vector_digest)


def _weight(terms: Terms, site: str) -> int:
    member = terms.member(site)
    if member is None:
        raise InvalidInputError("These terms do not name this site; it has no share in their average.")
    return member.weight
