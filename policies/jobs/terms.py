"""Job terms: what an analysis request asks of one site, frozen, with one digest over code, data sets and limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.jobs.names import FilePath, FileSetName, JobName
from policies.statements.digests import digest
from policies.statements.schema import Digest, PartyId, StrictModel, Text

MAXIMUM_JOB_TERMS_BYTES = 256 * 1024
MAXIMUM_CODE_BYTES = 16 * 1024 * 1024
MAXIMUM_DISK_MIB = 65_536
CODE_DOMAIN = "job-code"
CODE_FILE_DOMAIN = "job-code-file"

Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\[\]<>=!~, ;'\"()-]{0,199}$")]
"""A package that the code needs, as pip writes it: `pandas` or `pandas>=2`."""

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Names a job of one researcher: 32 hexadecimal digits."""


class CodeFile(StrictModel):
    """One file of the code; the files' bytes travel one after the other, in the order of the terms."""

    path: FilePath
    size: Annotated[int, Field(ge=0, le=MAXIMUM_CODE_BYTES)]
    digest: Digest


class JobLimits(StrictModel):
    """What one execution may use at most: seconds from start to end, address space, and all that it writes."""

    wall_seconds: Annotated[int, Field(ge=1, le=604_800)]
    memory_mib: Annotated[int, Field(ge=256, le=1_048_576)]
    disk_mib: Annotated[int, Field(ge=1, le=MAXIMUM_DISK_MIB)]


class JobTerms(StrictModel):
    """A job's terms. The owner signs `digest()` beside the snapshot of each data set.

    `supersedes` is the digest of the terms of an earlier job of the same researcher, which this one replaces.
    """

    version: Literal["cloister-job/1"]
    job: JobId
    name: JobName
    researcher: PartyId
    site: PartyId
    data_sets: Annotated[tuple[FileSetName, ...], Field(max_length=20)]
    entrypoint: FilePath
    code: Annotated[tuple[CodeFile, ...], Field(min_length=1, max_length=400)]
    requirements: Annotated[tuple[Requirement, ...], Field(max_length=100)]
    limits: JobLimits
    purpose: Text
    legal_basis: Text
    recipients: Text
    onward_use: Text
    supersedes: Digest | None
    expires_at: Annotated[int, Field(ge=0, le=2**33, description="seconds since 1970, UTC")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        paths = [file.path for file in self.code]
        if paths != sorted(set(paths)):
            raise ValueError("code lists its files in the order of their paths, each once")
        if any(parent in paths for path in paths for parent in _parents(path)):
            raise ValueError("one path of the code is a file and a folder")
        if self.entrypoint not in paths or not self.entrypoint.endswith(".py"):
            raise ValueError("entrypoint is no Python file of the code")
        if self.code_size > MAXIMUM_CODE_BYTES:
            raise ValueError(f"the code has {self.code_size} bytes; at most {MAXIMUM_CODE_BYTES} are accepted")
        if len(set(self.data_sets)) != len(self.data_sets):
            raise ValueError("a data set is named twice")
        return self

    @property
    def code_size(self) -> int:
        """Bytes of all files of the code together."""
        return sum(file.size for file in self.code)

    def digest(self) -> str:
        """The digest that the request, its approvals and its runs refer to."""
        return digest("job-terms", self.canonical())


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
