"""Opened sums: a researcher's signed word on which sites' masked vectors one round's sum was made of."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.errors import NotAuthenticError, RefusedError
from policies.masked_vector import verify_vector
from policies.statements.digests import party_of
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel
from policies.statements.signed import sign, verify
from policies.terms import Terms

MAXIMUM_SIGNED_SUM_BYTES = 64 * 1024
SUM_DOMAIN = "sum-of-masked-vectors"
"""Under which the sum (little-endian uint32) has its digest."""
_DOMAIN = "opened-sum"


class Summand(StrictModel):
    """One site's masked vector, as the site itself signed it for the round's context."""

    site: PartyId
    vector_digest: Digest
    signature: Signature


class OpenedSum(StrictModel):
    """Round `round` of the request was opened from exactly these vectors; `total` is the digest of their sum."""

    version: Literal["cloister-sum/1"]
    request: Digest
    round: Annotated[int, Field(ge=1, le=10_001)]
    round_context: Digest
    summands: Annotated[tuple[Summand, ...], Field(min_length=2, max_length=100)]
    total: Digest


class SignedSum(StrictModel):
    """An opened sum under its researcher's signature."""

    opened: OpenedSum
    researcher_key: PublicKey
    signature: Signature


def sign_sum(signing_key: Ed25519PrivateKey, opened: OpenedSum) -> SignedSum:
    """Sign `opened` with the researcher's identity key."""
    public_key = signing_key.public_key().public_bytes_raw().hex()
    signature = sign(signing_key, _DOMAIN, opened.canonical()).hex()
    return SignedSum(opened=opened, researcher_key=public_key, signature=signature)


def verify_sum(signed: SignedSum, terms: Terms) -> OpenedSum:
    """The opened sum, if the researcher of `terms` signed it.

    Raises:
        NotAuthenticError: somebody else did, or something was changed.
        RefusedError: it is on another request.
    """
    key = bytes.fromhex(signed.researcher_key)
    if party_of(key) != terms.researcher:
        raise NotAuthenticError("The opened sum is signed by another party than the researcher whom the terms name.")
    verify(key, bytes.fromhex(signed.signature), _DOMAIN, signed.opened.canonical(), what="the opened sum")
    if signed.opened.request != terms.digest():
        raise RefusedError("The opened sum is one of another request than these terms.")
    return signed.opened


def require_summand(opened: OpenedSum, terms: Terms, site: PartyId, signing_key: bytes, context: str) -> Summand:
    """The summand of `site`, if the sum holds each site of the cohort once, and of this one what it signed.

    Args:
        signing_key: the site's, raw, 32 bytes.
        context: the round's context in which the site answered, 64 hexadecimal digits.

    Raises:
        RefusedError: a site is left out, counted twice or foreign, two have one vector, or the context is another.
        NotAuthenticError: the site did not sign the vector that is given as its own.
    """
    sites = [summand.site for summand in opened.summands]
    if sorted(sites) != sorted(member.site for member in terms.cohort):
        raise RefusedError("The sum does not hold every site of the cohort exactly once.")
    if site not in sites:
        raise RefusedError("The site is none of the cohort that the terms name.")
    if len({summand.vector_digest for summand in opened.summands}) != len(sites):
        raise RefusedError("The sum holds one vector for two sites.")
    if opened.round_context != context:
        raise RefusedError("The sum is of another run, roster or global model than the one this site answered.")
    own = opened.summands[sites.index(site)]
    verify_vector(signing_key, bytes.fromhex(own.signature), site, bytes.fromhex(context), own.vector_digest)
    return own
