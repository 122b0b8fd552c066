"""What the decoder of Parquet files says to the datasite, as headers of frames."""

from typing import Annotated, Literal

from pydantic import Field

from policies.statements.schema import StrictModel

MAXIMUM_BATCH_BYTES = 2**29
Kind = Literal["text", "whole", "floating", "dictionary", "nested", "extension", "unknown"]


class FileColumn(StrictModel):
    """A column of the file, and of what kind its values are."""

    name: Annotated[str, Field(max_length=1000)]
    kind: Kind


class Decoded(StrictModel):
    """The header of every frame: first the file's columns, then rows again and again, at last why there are no more.

    With rows, body = safetensors, for the column at place i

    - whole: `i` int64 [rows], floating: `i` float64 [rows]; and `i.null` bool [rows]
    - text: `i` int32 [rows], places in a list of different texts, −1 for null; `i.text` uint8, the texts in UTF-8 one
      after another; `i.ends` int64, where each ends.
    """

    columns: Annotated[tuple[FileColumn, ...], Field(max_length=2000)] | None = None
    rows: Annotated[int, Field(ge=0, le=2**20)] = 0
    end: Literal["complete", "damaged", "memory", "columns", "lockdown"] | None = None
