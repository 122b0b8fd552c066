"""Decisions on jobs: what an owner approves or denies, once for each execution, signed by the owner's key."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.decision import PopulationId, PublicKey, Signature, Timestamp
from policies.errors import NotAuthenticError
from policies.jobs.names import FilePath, FileSetName
from policies.jobs.terms import JobLimits
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.statements.schema import Digest, PartyId, StrictModel, Text
from policies.statements.signed import sign, verify

MAXIMUM_SIGNED_JOB_DECISION_BYTES = 256 * 1024
_NOT_IN_SUBJECT = frozenset({"verdict", "reason", "decided_at"})

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
        fields = self.model_dump(mode="json")
        return digest("job-approval", canonical_bytes({k: v for k, v in fields.items() if k not in _NOT_IN_SUBJECT}))


class SignedJobDecision(StrictModel):
    """A decision with the owner key that took it and that key's signature over all of the decision."""

    decision: JobDecision
    owner_key: PublicKey
    signature: Signature


def sign_job_decision(private_key: Ed25519PrivateKey, decision: JobDecision) -> SignedJobDecision:
    """Sign `decision` with the owner's key."""
    return SignedJobDecision(
        decision=decision,
        owner_key=private_key.public_key().public_bytes_raw().hex(),
        signature=sign(private_key, "job-decision", decision.canonical()).hex(),
    )


def verify_job_decision(signed: SignedJobDecision, owner_key: bytes) -> JobDecision:
    """Give back the decision if it was signed by `owner_key` (raw 32 bytes), the key pinned for its site.

    Raises:
        NotAuthenticError: another key signed, or the decision is not the one that was signed.
    """
    if signed.owner_key != owner_key.hex():
        raise NotAuthenticError("The decision names another owner key than the one pinned for this site.")
    signature = bytes.fromhex(signed.signature)
    verify(owner_key, signature, "job-decision", signed.decision.canonical(), what="the decision on the job")
    return signed.decision
