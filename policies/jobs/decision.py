"""Decisions on jobs: what an owner approves or denies, once for each execution, signed by the owner's key."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.decision import PopulationId
from policies.jobs.names import FilePath, FileSetName
from policies.jobs.terms import JobLimits
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import owner_signature, require_owner, subject_digest

MAXIMUM_SIGNED_JOB_DECISION_BYTES = 256 * 1024
Attempt = Annotated[int, Field(ge=1, le=1_000_000)]
"""Which execution of the job this is: 1, and one more each time the owner lets it run again."""

Release = Literal["by-hand", "clean"]
"""Whether outputs wait for the owner's word, or leave at once when the inspection finds nothing to hold."""


class DataSetSnapshot(StrictModel):
    """A set of files as it was registered: a keyed commitment to its private bytes, and whose budget it is beside."""

    name: FileSetName
    commitment: Digest
    population: PopulationId | None


class JobDecision(StrictModel):
    """One owner's answer to one execution of one job on these snapshots."""

    version: Literal["cloister-job-decision/1"]
    site: PartyId
    request: Digest
    attempt: Attempt
    data_sets: Annotated[tuple[DataSetSnapshot, ...], Field(max_length=20)]
    limits: JobLimits
    outputs: Annotated[tuple[FilePath, ...], Field(max_length=400)]
    release: Release
    expires_at: Timestamp
    verdict: Literal["approve", "deny"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("job-approval", self)


class SignedJobDecision(StrictModel):
    """A decision with the owner key that took it and that key's signature over all of the decision."""

    decision: JobDecision
    owner_key: PublicKey
    signature: Signature


def sign_job_decision(private_key: Ed25519PrivateKey, decision: JobDecision) -> SignedJobDecision:
    """Sign `decision` with the owner's key."""
    return SignedJobDecision(decision=decision, **owner_signature(private_key, "job-decision", decision))


def verify_job_decision(signed: SignedJobDecision, owner_key: bytes) -> JobDecision:
    """Give back the decision if it was signed by `owner_key` (raw 32 bytes), the key pinned for its site.

    Raises:
        NotAuthenticError: another key signed, or the decision is not the one that was signed.
    """
    require_owner(signed, signed.decision, owner_key, "job-decision", what="the decision on the job")
    return signed.decision
