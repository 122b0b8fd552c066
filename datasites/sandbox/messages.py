"""What the datasite, an errand's keeper and its script say to each other, as headers of frames, parsed strictly."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from datasites.sandbox.environment import outermost
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES
from policies.jobs.endings import Layers
from policies.jobs.names import FilePath
from policies.statements.schema import Model, StrictModel, Text, parse_model

MOST_SHOWN = 200


def _plain(place: str) -> str:
    parts = place.split("/")
    if parts[0] or not all(part and part not in (".", "..") and "\0" not in part for part in parts[1:]):
        raise ValueError("a place is an absolute path without dots and without a slash at its end")
    return place


Place = Annotated[str, StringConstraints(min_length=2, max_length=4000), AfterValidator(_plain)]
Size = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Error = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{0,40}$")]


class File(StrictModel):
    """A file of the errand; its bytes are the next `size` ones of the body."""

    place: Place
    size: Size


class ShownFile(StrictModel):
    """A file outside; its descriptor comes beside the message."""

    place: Place
    path: Place


class Task(StrictModel):
    """Datasite to keeper, and on to the script: the errand. Body: the files' bytes. Answered by `Locked`."""

    type: Literal["task"] = "task"
    program: Literal["script", "inspection"]
    script: str
    files: tuple[File, ...]
    shown: tuple[ShownFile, ...]
    working_folder: Place
    collected: Place
    environment: dict[str, str]
    memory_bytes: Positive
    disk_bytes: Positive
    cpu_seconds: Positive
    threads: Positive
    packages: bool

    @property
    def writable(self) -> tuple[str, ...]:
        """The folders that the script may write to, none below another."""
        return outermost((self.working_folder, self.collected, "/tmp", "/dev/shm"))  # noqa: S108 – inside the sandbox

    @property
    def sees_own_packages(self) -> bool:
        """Whether Cloister's own packages can be imported."""
        return self.packages or self.program == "inspection"


class Locked(StrictModel):
    """Script to keeper, keeper to datasite: the script begins, held by these layers; or why not."""

    type: Literal["locked"] = "locked"
    layers: Layers
    refusal: Text | None


class Raised(StrictModel):
    """Script to keeper: the class of the error by which it ended, or nothing. It may lie."""

    type: Literal["raised"] = "raised"
    error: Error


HowEnded = Literal["finished", "failed", "timed-out", "out-of-memory", "killed", "stopped"]


class Ended(StrictModel):
    """Keeper to datasite: the script is gone. `Content`s and `Complete` follow, unless it was stopped."""

    type: Literal["ended"] = "ended"
    ending: HowEnded
    error: Error
    cpu_microseconds: Annotated[int, Field(ge=0, le=10**13)]
    peak_memory_bytes: Size


class Content(StrictModel):
    """Keeper to datasite: an output. Body: its bytes."""

    type: Literal["content"] = "content"
    name: FilePath


class Complete(StrictModel):
    """Keeper to datasite: that was all; so many other things lay in the folder."""

    type: Literal["complete"] = "complete"
    links: Size
    specials: Size
    badly_named: Size
    too_deep: Size
    too_many: Size
    too_large: Size


def parse(model: type[Model], header: bytes) -> Model:
    """The header of a frame as the one message that is due.

    Raises:
        InvalidInputError: it is another message, or not well formed.
    """
    return parse_model(model, header, maximum_bytes=MAXIMUM_HEADER_BYTES, what="The sandbox's message")
