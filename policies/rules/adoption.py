"""Adoptions: the owner's signed word that these rules hold at one site, instead of those adopted before."""

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import NotAuthenticError
from policies.rules.house_rules import MAXIMUM_HOUSE_RULES_BYTES, HouseRules
from policies.statements.digests import digest
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Timestamp
from policies.statements.signed import owner_signature, require_owner

MAXIMUM_SIGNED_ADOPTION_BYTES = 2 * MAXIMUM_HOUSE_RULES_BYTES
_DOMAIN = "house-rules"


class Adoption(StrictModel):
    """What the owner says: these rules hold from now on. `previous` is the adoption that they replace."""

    version: Literal["cloister-house-rules/1"]
    site: PartyId
    rules: HouseRules
    previous: Digest | None
    adopted_at: Timestamp

    def digest(self) -> str:
        """The digest by which decisions name the rules that they were taken under."""
        return digest(_DOMAIN, self.canonical())


class SignedAdoption(StrictModel):
    """An adoption under the owner's signature."""

    adoption: Adoption
    owner_key: PublicKey
    signature: Signature


def sign_adoption(owner_key: Ed25519PrivateKey, adoption: Adoption) -> SignedAdoption:
    """Sign `adoption` with the owner's key."""
    return SignedAdoption(adoption=adoption, **owner_signature(owner_key, _DOMAIN, adoption))


def verify_adoption(signed: SignedAdoption, owner_key: bytes, site: PartyId) -> Adoption:
    """The rules of `site`, if its owner (raw 32-byte key, pinned elsewhere) adopted them.

    Raises:
        NotAuthenticError: another key signed, something was changed, or they are another site's.
    """
    require_owner(signed, signed.adoption, owner_key, _DOMAIN, what="the adoption of house rules")
    if signed.adoption.site != site:
        raise NotAuthenticError("The house rules were adopted for another site; ask this site's owner for its own.")
    return signed.adoption
