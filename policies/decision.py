"""Decisions: what a data owner approves or denies, as one digest, signed by the owner's key."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, StringConstraints

from policies.statements.schema import Digest, Name, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import owner_signature, require_owner, subject_digest

MAXIMUM_SIGNED_DECISION_BYTES = 16 * 1024

PopulationId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""Names a population at one site: lower-case letters, digits and hyphens, at most 64."""

Units = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Privacy cost in the ledger's integer units; no integer above this has a canonical spelling."""


class Decision(StrictModel):
    """One owner's answer to one request on one data set snapshot, with the cost that an approval lets be reserved."""

    version: Literal["cloister-decision/1"]
    site: PartyId
    request: Digest
    data_set: Name
    snapshot_commitment: Digest
    population: PopulationId
    training_units: Units
    evaluation_units: Units
    expires_at: Timestamp
    verdict: Literal["approve", "deny"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("approval", self)


class SignedDecision(StrictModel):
    """A decision with the owner key that took it and that key's signature over all of the decision."""

    decision: Decision
    owner_key: PublicKey
    signature: Signature


def sign_decision(private_key: Ed25519PrivateKey, decision: Decision) -> SignedDecision:
    """Sign `decision` with the owner's key."""
    return SignedDecision(decision=decision, **owner_signature(private_key, "decision", decision))


def verify_decision(signed: SignedDecision, owner_key: bytes) -> Decision:
    """Give back the decision if it was signed by `owner_key` (raw 32 bytes), the key pinned for its site.

    Raises:
        NotAuthenticError: another key signed, or the decision is not the one that was signed.
    """
    require_owner(signed, signed.decision, owner_key, "decision", what="the decision")
    return signed.decision
