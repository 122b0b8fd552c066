"""What is written down of a job's executions: the dry run on mock data, and the newest run on private data."""

from typing import Annotated

from pydantic import Field, StringConstraints

from policies.jobs.decision import Attempt
from policies.jobs.endings import Ending, Layers
from policies.jobs.names import FilePath
from policies.jobs.release import MAXIMUM_OUTPUTS, OutputFact
from policies.statements.digests import digest
from policies.statements.schema import Digest, StrictModel

Seconds = Annotated[float, Field(ge=0, le=1e7)]
Facts = Annotated[tuple[OutputFact, ...], Field(max_length=MAXIMUM_OUTPUTS + 2)]
LeftOut = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...], Field(max_length=20)]


class DryRun(StrictModel):
    """What the job did on mock data, for its owner to see; nothing of it is private."""

    ending: Ending
    error: Annotated[str, StringConstraints(max_length=100)]
    files: Facts
    left_out: LeftOut
    printed: Annotated[str, StringConstraints(max_length=20_000)]
    wall_seconds: Seconds
    cpu_seconds: Seconds
    peak_memory_bytes: Annotated[int, Field(ge=0, le=2**53 - 1)]
    layers: Layers

    def digest(self) -> str:
        """The digest that the log names it by."""
        return digest("job-dry-run", self.canonical())

    @property
    def outputs(self) -> tuple[FilePath, ...]:
        """The paths of the outputs: those that the run on private data is expected to write."""
        return tuple(sorted(file.path for file in self.files if file.kind == "output"))


class Run(StrictModel):
    """How an execution on private data ended; for the owner's eyes until something is released."""

    attempt: Attempt
    ending: Ending
    error: Annotated[str, StringConstraints(max_length=100)]
    files: Facts
    left_out: LeftOut
    commitment: Digest | None
    wall_seconds: Seconds
    cpu_seconds: Seconds
    peak_memory_bytes: Annotated[int, Field(ge=0, le=2**53 - 1)]
    milliseconds: Annotated[int, Field(ge=0, le=10**10)]
    layers: Layers

    @property
    def size(self) -> int:
        """Bytes of all outputs and logs together, as they lie one after the other."""
        return sum(file.size for file in self.files)
