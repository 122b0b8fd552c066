"""Releases of outputs: the owner's signed word that these files of a job go to one researcher, or that they stay."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.jobs.decision import Attempt
from policies.jobs.names import FilePath
from policies.jobs.terms import MAXIMUM_DISK_MIB
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp
from policies.statements.signed import owner_signature, require_owner, subject_digest

MAXIMUM_SIGNED_RELEASE_BYTES = 256 * 1024
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
    """One owner's word on the outputs of one execution. `commitment` is keyed: it tells nobody what is in them."""

    version: Literal["cloister-release/1"]
    site: PartyId
    request: Digest
    attempt: Attempt
    commitment: Digest
    files: Annotated[tuple[OutputFact, ...], Field(max_length=MAXIMUM_OUTPUTS + len(LOGS))]
    recipient: PartyId
    verdict: Literal["release", "withhold"]
    reason: Text
    decided_at: Timestamp

    def subject(self) -> str:
        """The digest of what is decided on: shown before the decision and given back to take it."""
        return subject_digest("release", self)


class SignedRelease(StrictModel):
    """A release with the owner key that decided it and that key's signature over all of it."""

    release: ReleaseDecision
    owner_key: PublicKey
    signature: Signature


def sign_release(private_key: Ed25519PrivateKey, release: ReleaseDecision) -> SignedRelease:
    """Sign `release` with the owner's key."""
    return SignedRelease(release=release, **owner_signature(private_key, "release", release))


def verify_release(signed: SignedRelease, owner_key: bytes) -> ReleaseDecision:
    """Give back the release if it was signed by `owner_key` (raw 32 bytes), the key pinned for its site.

    Raises:
        NotAuthenticError: another key signed, or the release is not the one that was signed.
    """
    require_owner(signed, signed.release, owner_key, "release", what="the release")
    return signed.release
