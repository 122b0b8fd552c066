"""Log entries on jobs and the files they see: receipt, dry run, decision, execution and release; no private value."""

from typing import Annotated, Literal

from pydantic import Field

from policies.decision import PopulationId
from policies.jobs.decision import Attempt, Release, SignedJobDecision
from policies.jobs.endings import Ending, Layers
from policies.jobs.names import FileSetName
from policies.jobs.release import SignedRelease
from policies.jobs.terms import JobTerms
from policies.log.entry import Entry
from policies.statements.schema import Digest, PartyId


class FileSetRegistered(Entry):
    """The owner offers files to jobs: a keyed commitment to them, and the population whose people are in them."""

    kind: Literal["file-set-registered"] = "file-set-registered"
    file_set: FileSetName
    commitment: Digest
    population: PopulationId | None


class JobReceived(Entry):
    """A job arrived from the pinned researcher whom its terms name; `request`, their digest, stands for it."""

    kind: Literal["job-received"] = "job-received"
    request: Digest
    terms: JobTerms


class JobTried(Entry):
    """The job ran on mock data; `report` is the digest of what its owner is shown of that."""

    kind: Literal["job-tried"] = "job-tried"
    request: Digest
    report: Digest
    layers: Layers


class JobDecided(Entry):
    """One person decided on one execution; the signed decision itself."""

    kind: Literal["job-decided"] = "job-decided"
    signed: SignedJobDecision


class JobStarted(Entry):
    """An execution begins: from here on it counts as done, whatever becomes of it."""

    kind: Literal["job-started"] = "job-started"
    request: Digest
    attempt: Attempt


class JobEnded(Entry):
    """An execution ended; `commitment` names its outputs, if there are any, behind `layers` for about so long."""

    kind: Literal["job-ended"] = "job-ended"
    request: Digest
    attempt: Attempt
    ending: Ending
    commitment: Digest | None
    milliseconds: Annotated[int, Field(ge=0, le=10**10)]
    layers: Layers


class OutputsInspected(Entry):
    """The outputs were inspected; `findings` is a keyed commitment to what was found, `clean` whether nothing holds."""

    kind: Literal["outputs-inspected"] = "outputs-inspected"
    request: Digest
    attempt: Attempt
    findings: Digest
    clean: bool


class ReleaseDecided(Entry):
    """One person decided on the outputs; the signed decision itself."""

    kind: Literal["release-decided"] = "release-decided"
    signed: SignedRelease


class OutputsReleased(Entry):
    """The outputs with this commitment were handed to the mail for `recipient`, on what ground."""

    kind: Literal["outputs-released"] = "outputs-released"
    request: Digest
    attempt: Attempt
    recipient: PartyId
    commitment: Digest
    ground: Release


JobEntry = (
    FileSetRegistered
    | JobReceived
    | JobTried
    | JobDecided
    | JobStarted
    | JobEnded
    | OutputsInspected
    | ReleaseDecided
    | OutputsReleased
)
