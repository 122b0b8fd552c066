"""What an inspection can say of files as such: undeclared, left out, too large, not readable, images, hidden extras."""

from typing import Annotated, Literal

from pydantic import Field

from policies.disclosure.finding_parts import Count, Label, OfAll, OfOutput, Severity
from policies.statements.schema import StrictModel


class Unfinished(OfAll):
    """The inspection left no findings that can be believed."""

    check: Literal["unfinished"] = "unfinished"

    @property
    def sentence(self) -> str:
        return (
            "The inspection did not come to its end, so nothing is known of these outputs. Release none of them unless "
            "you have read every one yourself; a file made to stop the inspection is an attack."
        )


class Undeclared(OfOutput):
    """The dry run on mock data made no such file."""

    check: Literal["undeclared"] = "undeclared"

    @property
    def sentence(self) -> str:
        return (
            "The dry run on mock data made no file of this name, and only what it made was reviewed. Ask the "
            "researcher why the private data leads to another file."
        )


class LeftOut(OfAll):
    """Something in the outputs' folder was no plain file, or too much, and was not taken."""

    check: Literal["left-out"] = "left-out"
    what: Annotated[Label, Field(description="our own words, such as “2 links”")]

    @property
    def sentence(self) -> str:
        return (
            f"Not everything in the outputs' folder was taken: {self.what}. Only plain files within the limits leave; "
            "if the researcher needs the rest, ask for it as plain files."
        )


class TooLarge(OfAll):
    """All outputs together have more bytes than the rules allow."""

    check: Literal["too-large"] = "too-large"
    size: Count
    most: Count

    @property
    def sentence(self) -> str:
        return (
            f"The outputs have {self.size:,} bytes together; {self.most:,} are allowed. Results are small: ask for "
            "figures, tables or a model instead of data."
        )


class OtherFormat(OfOutput):
    """No format that the inspection reads, or not the one that the name says."""

    check: Literal["other-format"] = "other-format"

    @property
    def sentence(self) -> str:
        return (
            "This is no JSON, CSV, Parquet, safetensors, PNG or plain text file, or not what its name says, so no "
            "check was made. Release it only if you can open and judge it; better ask for one of these formats."
        )


class Unreadable(OfOutput):
    """Its reading failed or would have gone beyond a limit."""

    check: Literal["unreadable"] = "unreadable"
    reason: Literal["damaged", "limits"]

    @property
    def sentence(self) -> str:
        why = "it is damaged" if self.reason == "damaged" else "it is too large, too deep or unpacks to too much"
        return (
            f"This file could not be read within the inspection's limits: {why}. It was not checked to its end; do not "
            "release it, and ask the researcher for a smaller, plainer one."
        )


class UnreadData(StrictModel):
    """A private file was not compared with the outputs."""

    check: Literal["unread-data"] = "unread-data"
    output: None = None
    severity: Severity
    file: Label

    @property
    def sentence(self) -> str:
        return (
            f"The private file «{self.file}» was not read as a table, so the outputs were not compared with it. "
            "Look for its content in the outputs yourself."
        )


class Image(OfOutput):
    """An image: no rule can tell what it shows."""

    check: Literal["image"] = "image"
    width: Count
    height: Count

    @property
    def sentence(self) -> str:
        return (
            f"This is an image of {self.width:,} × {self.height:,} points, and no rule can tell what it shows. Look at "
            "it: points for single people, their values or names must not be seen."
        )


class Extra(OfOutput):
    """The file carries bytes that are not part of what it shows."""

    check: Literal["extra"] = "extra"
    bytes: Count

    @property
    def sentence(self) -> str:
        return (
            f"Beside what it shows, this file carries {self.bytes:,} bytes, as comments, metadata or after its end. "
            "They could be data: do not release it; ask for a file without them."
        )
