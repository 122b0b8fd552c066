"""Releases of outputs: a person's signed word that these files of a job go to one researcher, or that they stay."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.jobs.decision import Attempt
from policies.jobs.names import FilePath
from policies.jobs.terms import MAXIMUM_DISK_MIB
from policies.people.agreement import MOST_APPROVALS, Approvals, require_agreement
from policies.people.appointment import SignedAppointment
from policies.people.signer import Person, person_signature, require_decider
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import subject_digest

_DOMAIN = "release"
MAXIMUM_SIGNED_RELEASE_BYTES = 256 * 1024
MAXIMUM_SIGNED_RELEASES_BYTES = MOST_APPROVALS * MAXIMUM_SIGNED_RELEASE_BYTES
MAXIMUM_OUTPUT_BYTES = 1024 * 1024 * 1024
"""The most that can be released of one execution, all together."""

MAXIMUM_OUTPUTS = 400
LOGS = ("stdout.txt", "stderr.txt")
"""What a job printed counts as two outputs more, under these names in the folder beside `outputs`."""


class OutputFact(StrictModel):
    """One output: its path below the outputs, or one of `LOGS`, and its size in bytes."""

    kind: Literal["output", "log"]
    path: FilePath
    size: Annotated[int, Field(ge=0, le=MAXIMUM_DISK_MIB << 20)]


class ReleaseDecision(StrictModel):
    """One person's word on the outputs of one execution, which go once `approvals` persons said the same.

    `commitment` is keyed: it tells nobody what is in them.
    """

    version: Literal["cloister-release/1"]
    site: PartyId
    request: Digest
    attempt: Attempt
    commitment: Digest
    files: Annotated[tuple[OutputFact, ...], Field(max_length=MAXIMUM_OUTPUTS + len(LOGS))]
    recipient: PartyId
    approvals: Approvals
    verdict: Literal["release", "withhold"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("release", self)


class SignedRelease(StrictModel):
    """A release with the key of the person who decided it, their appointment, and their signature over all of it."""

    release: ReleaseDecision
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


class SignedReleases(StrictModel):
    """What was decided on one execution's outputs: that they stay, or as many releases of the same as it asks for."""

    signed: Annotated[tuple[SignedRelease, ...], Field(min_length=1, max_length=MOST_APPROVALS)]

    @property
    def release(self) -> ReleaseDecision:
        """The release that all of them decide, in the words of the first."""
        return self.signed[0].release


def sign_release(
    private_key: Ed25519PrivateKey, release: ReleaseDecision, appointment: SignedAppointment | None = None
) -> SignedRelease:
    """Sign `release` with the key of an appointed person, or with the owner's."""
    return SignedRelease(release=release, **person_signature(private_key, appointment, _DOMAIN, release))


def verify_release(signed: SignedRelease, owner_key: bytes) -> Person:
    """The person who signed this release of a site whose owner's key (raw 32 bytes) was pinned.

    Raises:
        NotAuthenticError: nobody of the site signed it, or the release is not the one that was signed.
        RefusedError: its signer may not decide.
    """
    return require_decider(signed, signed.release, owner_key, signed.release.site, _DOMAIN, what="the release")


def verify_releases(taken: SignedReleases, owner_key: bytes) -> ReleaseDecision:
    """The release that stands, if as many persons decided it as it says; `owner_key` as in `verify_release`.

    Raises:
        NotAuthenticError: a signature is not right, or they do not take one decision together.
        RefusedError: a signer may not decide, or is the one to whom the outputs go.
    """
    people = [verify_release(it, owner_key) for it in taken.signed]
    require_agreement([it.release for it in taken.signed], people, taken.release.recipient, what="the release")
    return taken.release
