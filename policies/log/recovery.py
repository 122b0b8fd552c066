"""Recoveries: an owner's signed word that a log was set back, and which of its checkpoints were lost with the rest."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.errors import NotAuthenticError
from policies.log.merkle import TreeHead
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Timestamp
from policies.statements.signed import owner_signature, require_owner

MOST_LOST_HEADS = 100
_DOMAIN = "recovery"


class LostHead(StrictModel):
    """A checkpoint that was witnessed and that the log, as restored, does not continue."""

    size: Annotated[int, Field(ge=1, le=2**53 - 1)]
    root: Digest

    @classmethod
    def of(cls, head: TreeHead) -> "LostHead":
        """The lost checkpoint with this head."""
        return cls(size=head.size, root=head.root.hex())


class Recovery(StrictModel):
    """What the owner says: this site's log was set back, and goes on without these checkpoints."""

    version: Literal["cloister-recovery/1"]
    site: PartyId
    lost: Annotated[tuple[LostHead, ...], Field(min_length=1, max_length=MOST_LOST_HEADS)]
    recovered_at: Timestamp


class SignedRecovery(StrictModel):
    """A recovery under the owner's signature: the service cannot write one by itself."""

    recovery: Recovery
    owner_key: PublicKey
    signature: Signature


def sign_recovery(owner_key: Ed25519PrivateKey, recovery: Recovery) -> SignedRecovery:
    """Sign `recovery` with the owner's decision key."""
    return SignedRecovery(recovery=recovery, **owner_signature(owner_key, _DOMAIN, recovery))


def verify_recovery(signed: SignedRecovery, owner_key: bytes, site: PartyId) -> Recovery:
    """The recovery of `site`, if its owner (raw 32-byte key, pinned elsewhere) signed it.

    Raises:
        NotAuthenticError: another key signed it, something was changed, or it is another site's.
    """
    require_owner(signed, signed.recovery, owner_key, _DOMAIN, what="the recovery")
    if signed.recovery.site != site:
        raise NotAuthenticError("The recovery is of another site; ask this site's owner for the right one.")
    return signed.recovery
