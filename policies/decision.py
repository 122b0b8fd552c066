"""Decisions: what a person of a site approves or denies, as one digest, signed by that person's key."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, StringConstraints

from policies.people.agreement import MOST_APPROVALS, Approvals, require_agreement
from policies.people.appointment import SignedAppointment
from policies.people.signer import Person, person_signature, require_decider
from policies.statements.schema import Digest, Name, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import subject_digest

_DOMAIN = "decision"
MAXIMUM_SIGNED_DECISION_BYTES = 24 * 1024
MAXIMUM_SIGNED_DECISIONS_BYTES = MOST_APPROVALS * MAXIMUM_SIGNED_DECISION_BYTES

PopulationId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""Names a population at one site: lower-case letters, digits and hyphens, at most 64."""

Units = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Privacy cost in the ledger's integer units; no integer above this has a canonical spelling."""


class Decision(StrictModel):
    """One person's answer to one request on one data set snapshot, with the cost that an approval lets be reserved.

    `house_rules` are the owner's rules under which it was taken; `approvals` different persons must approve the same.
    """

    version: Literal["cloister-decision/1"]
    site: PartyId
    request: Digest
    data_set: Name
    snapshot_commitment: Digest
    population: PopulationId
    training_units: Units
    evaluation_units: Units
    house_rules: Digest
    expires_at: Timestamp
    approvals: Approvals
    verdict: Literal["approve", "deny"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("approval", self)


class SignedDecision(StrictModel):
    """A decision with the key of the person who took it, their appointment, and their signature over all of it."""

    decision: Decision
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


class SignedDecisions(StrictModel):
    """What was decided on one request: one denial, or as many approvals of the same as it asks for."""

    signed: Annotated[tuple[SignedDecision, ...], Field(min_length=1, max_length=MOST_APPROVALS)]

    @property
    def decision(self) -> Decision:
        """The decision that all of them take, in the words of the first."""
        return self.signed[0].decision


def sign_decision(
    private_key: Ed25519PrivateKey, decision: Decision, appointment: SignedAppointment | None = None
) -> SignedDecision:
    """Sign `decision` with the key of an appointed person, or with the owner's."""
    return SignedDecision(decision=decision, **person_signature(private_key, appointment, _DOMAIN, decision))


def verify_decision(signed: SignedDecision, owner_key: bytes) -> Person:
    """The person who signed this decision of a site whose owner's key (raw 32 bytes) was pinned.

    Raises:
        NotAuthenticError: nobody of the site signed it, or the decision is not the one that was signed.
        RefusedError: its signer may not decide.
    """
    return require_decider(signed, signed.decision, owner_key, signed.decision.site, _DOMAIN, what="the decision")


def verify_decisions(taken: SignedDecisions, owner_key: bytes, researcher: PartyId) -> Decision:
    """The decision on what `researcher` asked for, if as many persons took it as it says.

    `owner_key` is the raw 32-byte key pinned for the site.

    Raises:
        NotAuthenticError: a signature is not right, or they do not take one decision together.
        RefusedError: a signer may not decide, or is the researcher.
    """
    people = [verify_decision(it, owner_key) for it in taken.signed]
    require_agreement([it.decision for it in taken.signed], people, researcher, what="the decision")
    return taken.decision
