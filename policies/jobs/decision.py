"""Decisions on jobs: what a person of a site approves or denies, once for each execution, signed by their key."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.decision import PopulationId
from policies.jobs.names import FilePath, FileSetName
from policies.jobs.terms import JobLimits
from policies.people.agreement import MOST_APPROVALS, Approvals, require_agreement
from policies.people.appointment import SignedAppointment
from policies.people.signer import Person, person_signature, require_decider
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import subject_digest

_DOMAIN = "job-decision"
MAXIMUM_SIGNED_JOB_DECISION_BYTES = 128 * 1024
MAXIMUM_SIGNED_JOB_DECISIONS_BYTES = MOST_APPROVALS * MAXIMUM_SIGNED_JOB_DECISION_BYTES
Attempt = Annotated[int, Field(ge=1, le=1_000_000)]
"""Which execution of the job this is: 1, and one more each time it is let run again."""

Release = Literal["by-hand", "clean"]
"""Whether outputs wait for a person's word, or leave at once when the inspection finds nothing to hold."""


class DataSetSnapshot(StrictModel):
    """A set of files as it was registered: a keyed commitment to its private bytes, and whose budget it is beside."""

    name: FileSetName
    commitment: Digest
    population: PopulationId | None


class JobDecision(StrictModel):
    """One person's answer to one execution of one job on these snapshots, under these house rules.

    `approvals` is how many different persons must approve the same.
    """

    version: Literal["cloister-job-decision/1"]
    site: PartyId
    request: Digest
    attempt: Attempt
    data_sets: Annotated[tuple[DataSetSnapshot, ...], Field(max_length=20)]
    limits: JobLimits
    outputs: Annotated[tuple[FilePath, ...], Field(max_length=400)]
    release: Release
    house_rules: Digest
    expires_at: Timestamp
    approvals: Approvals
    verdict: Literal["approve", "deny"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("job-approval", self)


class SignedJobDecision(StrictModel):
    """A decision with the key of the person who took it, their appointment, and their signature over all of it."""

    decision: JobDecision
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


class SignedJobDecisions(StrictModel):
    """What was decided on one execution: one denial, or as many approvals of the same as it asks for."""

    signed: Annotated[tuple[SignedJobDecision, ...], Field(min_length=1, max_length=MOST_APPROVALS)]

    @property
    def decision(self) -> JobDecision:
        """The decision that all of them take, in the words of the first."""
        return self.signed[0].decision


def sign_job_decision(
    private_key: Ed25519PrivateKey, decision: JobDecision, appointment: SignedAppointment | None = None
) -> SignedJobDecision:
    """Sign `decision` with the key of an appointed person, or with the owner's."""
    return SignedJobDecision(decision=decision, **person_signature(private_key, appointment, _DOMAIN, decision))


def verify_job_decision(signed: SignedJobDecision, owner_key: bytes) -> Person:
    """The person who signed this decision of a site whose owner's key (raw 32 bytes) was pinned.

    Raises:
        NotAuthenticError: nobody of the site signed it, or the decision is not the one that was signed.
        RefusedError: its signer may not decide.
    """
    return require_decider(
        signed, signed.decision, owner_key, signed.decision.site, _DOMAIN, what="the decision on the job"
    )


def verify_job_decisions(taken: SignedJobDecisions, owner_key: bytes, researcher: PartyId) -> JobDecision:
    """The decision on what `researcher` asked for, if as many persons took it as it says.

    `owner_key` is the raw 32-byte key pinned for the site.

    Raises:
        NotAuthenticError: a signature is not right, or they do not take one decision together.
        RefusedError: a signer may not decide, or is the researcher.
    """
    people = [verify_job_decision(it, owner_key) for it in taken.signed]
    require_agreement([it.decision for it in taken.signed], people, researcher, what="the decision on the job")
    return taken.decision
