"""Messages on jobs and the files they see: between a researcher's PySyft session and a datasite."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from datasites.protocol.content import Content
from datasites.protocol.typed_message import TypedMessage
from policies.jobs.decision import Attempt, SignedJobDecisions
from policies.jobs.endings import Ending
from policies.jobs.names import DataFileName, Email, FileSetName
from policies.jobs.release import MAXIMUM_OUTPUT_BYTES, MAXIMUM_OUTPUTS, OutputFact
from policies.jobs.terms import MAXIMUM_JOB_TERMS_BYTES, JobId
from policies.statements.schema import Digest, StrictModel, Text

MAXIMUM_PACKAGES = 2000
MAXIMUM_MOCK_FILES = 100
MAXIMUM_README_CHARACTERS = 64 * 1024

Package = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[A-Za-z0-9.!+_-]{1,60}$")]
"""An installed package, as `name==version`."""

JobStatusName = Literal[
    "received",
    "refused",
    "pending",
    "approved",
    "denied",
    "running",
    "held",
    "released",
    "withheld",
    "failed",
    "cancelled",
    "expired",
    "revoked",
    "superseded",
]


class PeerRequest(TypedMessage):
    """Researcher → site: may I be shown under this address? It is a label that the owner accepts, or not."""

    type: Literal["peer-request"] = "peer-request"
    contact: Email


class PeerReply(TypedMessage):
    """Site → researcher: whether its owner has accepted the address, and what the site offers to jobs."""

    type: Literal["peer-reply"] = "peer-reply"
    contact: Email
    accepted: bool
    packages: Annotated[tuple[Package, ...], Field(max_length=MAXIMUM_PACKAGES)]


class FileSetRequest(TypedMessage):
    """Researcher → site: which sets of files may I write jobs for?"""

    type: Literal["file-set-request"] = "file-set-request"


class MockFile(StrictModel):
    """One mock file; the files' bytes travel one after the other, in this order."""

    name: DataFileName
    size: Annotated[int, Field(ge=0, le=MAXIMUM_OUTPUT_BYTES)]


class FileSetOffer(StrictModel):
    """A set of files as its owner describes it, with its mock files; nothing is derived from the private ones."""

    name: FileSetName
    summary: Text
    readme: Annotated[str, StringConstraints(max_length=MAXIMUM_README_CHARACTERS)]
    tags: Annotated[
        tuple[Annotated[Text, StringConstraints(max_length=50, pattern=r"^[^\n\t]*$")], ...], Field(max_length=20)
    ]
    registered_at: Annotated[int, Field(ge=0, le=2**33, description="seconds since 1970, UTC")]
    files: Annotated[tuple[MockFile, ...], Field(min_length=1, max_length=MAXIMUM_MOCK_FILES)]
    mock: Content


class FileSetReply(TypedMessage):
    """Site → researcher: one of the `total` sets that this researcher may see, or none where there are none."""

    type: Literal["file-set-reply"] = "file-set-reply"
    total: Annotated[int, Field(ge=0, le=10_000)]
    offer: FileSetOffer | None


class JobSubmission(TypedMessage):
    """Researcher → site: a job. `terms` is canonical JSON; `code` holds its files' bytes in the order of the terms."""

    type: Literal["job-submission"] = "job-submission"
    job: JobId
    terms: Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_JOB_TERMS_BYTES)]
    code: Content


class JobCancel(TypedMessage):
    """Researcher → site: stop this job, or do not begin it."""

    type: Literal["job-cancel"] = "job-cancel"
    job: JobId
    reason: Text


class JobStatus(TypedMessage):
    """Site → researcher: where a job stands, the signed decision once there is one, and coarsely how it ended."""

    type: Literal["job-status"] = "job-status"
    job: JobId
    status: JobStatusName
    detail: Text
    decision: SignedJobDecisions | None
    ending: Ending | None
    milliseconds: Annotated[int, Field(ge=0, le=10**10)] | None


class JobOutputs(TypedMessage):
    """Site → researcher: the released outputs; `content` holds the files' bytes in the order of `files`."""

    type: Literal["job-outputs"] = "job-outputs"
    job: JobId
    request: Digest
    attempt: Attempt
    files: Annotated[tuple[OutputFact, ...], Field(max_length=MAXIMUM_OUTPUTS + 2)]
    content: Content


JobMessageToSite = PeerRequest | FileSetRequest | JobSubmission | JobCancel
JobMessageToResearcher = PeerReply | FileSetReply | JobStatus | JobOutputs
