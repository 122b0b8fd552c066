"""What an inspection is told: the outputs, what is known of them from outside, the rules and the private data."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from policies.columns import Bound
from policies.disclosure.finding_parts import OutputName
from policies.disclosure.findings import MAXIMUM_INSPECTED
from policies.disclosure.rules import DisclosureRules
from policies.statements.schema import StrictModel, Text, parse_model

MAXIMUM_QUESTION_BYTES = 4 * 1024 * 1024

STREAMS = ("stdout.txt", "stderr.txt")
"""The outputs that every job has; no dry run needs to have made them."""


def _relative(value: str) -> str:
    if value.startswith("/") or "\0" in value or any(part in ("", ".", "..") for part in value.split("/")):
        raise ValueError("a private file is named by its path below its data set's folder")
    return value


PrivateFile = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_relative)]
ColumnName = Annotated[str, StringConstraints(max_length=1000)]


class BoundedColumn(StrictModel):
    """A numeric column of the manifest, with its public bounds."""

    name: ColumnName
    minimum: Bound
    maximum: Bound


class PrivateData(StrictModel):
    """One data set: its files, and what its manifest says of them, if there is one."""

    data_set: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}$")]
    files: Annotated[tuple[PrivateFile, ...], Field(max_length=10_000)]
    unit_column: ColumnName | None = None
    columns: Annotated[tuple[BoundedColumn, ...], Field(max_length=1000)] = ()


class Question(StrictModel):
    """The whole of `/inspection.json`, canonical JSON."""

    version: Literal["cloister-inspection/1"] = "cloister-inspection/1"
    outputs: Annotated[tuple[OutputName, ...], Field(max_length=MAXIMUM_INSPECTED)]
    """Every file below the outputs' folder, `stdout.txt` and `stderr.txt` among them."""

    declared: Annotated[tuple[OutputName, ...], Field(max_length=MAXIMUM_INSPECTED)]
    """The names that the dry run on mock data made."""

    left_out: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What the sandbox did not take from the outputs' folder, in our own words."""

    rules: DisclosureRules
    data_sets: Annotated[tuple[PrivateData, ...], Field(max_length=100)]


def parse_question(data: bytes) -> Question:
    """Parse `/inspection.json`.

    Raises:
        InvalidInputError: it is not canonical, too long, or a field is wrong.
    """
    return parse_model(Question, data, maximum_bytes=MAXIMUM_QUESTION_BYTES, what="The inspection's question")
