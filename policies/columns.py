"""The columns that a manifest declares: what a cell may hold."""

import unicodedata
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from policies.record_form import MAXIMUM_RECORD_ELEMENTS
from policies.statements.schema import StrictModel, Text

MAXIMUM_TEXT_BYTES = 65_536


def _plain_label(value: str) -> str:
    if value != value.strip() or not value.isprintable() or value != unicodedata.normalize("NFC", value):
        raise ValueError("write it on one line, in Unicode NFC form, without spaces around it")
    return value


Label = Annotated[Text, StringConstraints(max_length=100), AfterValidator(_plain_label)]
"""The name of a column, or one category, exactly as it is spelled in the file."""

Bound = Annotated[float, Field(ge=-1e15, le=1e15)]
IntegerBound = Annotated[int, Field(ge=-(10**15), le=10**15)]


class NumberColumn(StrictModel):
    """Real numbers between public bounds."""

    type: Literal["number"]
    name: Label
    minimum: Bound
    maximum: Bound
    description: Text | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_order(self.minimum, self.maximum)
        return self


class IntegerColumn(StrictModel):
    """Whole numbers between public bounds."""

    type: Literal["integer"]
    name: Label
    minimum: IntegerBound
    maximum: IntegerBound
    description: Text | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_order(self.minimum, self.maximum)
        return self


class CategoryColumn(StrictModel):
    """One of a public list of categories."""

    type: Literal["category"]
    name: Label
    categories: Annotated[tuple[Label, ...], Field(min_length=2, max_length=1000)]
    description: Text | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("a category is listed twice; list each one once")
        return self


class TextColumn(StrictModel):
    """Text of any language. A study reads it through a tokeniser that it brings; the snapshot keeps the UTF-8 bytes."""

    type: Literal["text"]
    name: Label
    maximum_bytes: Annotated[int, Field(ge=1, le=MAXIMUM_TEXT_BYTES)]
    description: Text | None = None


class ImageColumn(StrictModel):
    """Images of one declared size, of 8 bits a channel: grey (1 channel), or red, green and blue (3)."""

    type: Literal["image"]
    name: Label
    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=MAXIMUM_RECORD_ELEMENTS)]
    width: Annotated[int, Field(ge=1, le=MAXIMUM_RECORD_ELEMENTS)]
    description: Text | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.channels * self.height * self.width > MAXIMUM_RECORD_ELEMENTS:
            raise ValueError(f"an image has at most {MAXIMUM_RECORD_ELEMENTS} values; scale it down")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width


PlainColumn = NumberColumn | IntegerColumn | CategoryColumn
"""A column of a table, one value a cell; the others fill a record's features alone."""

WholeColumn = TextColumn | ImageColumn

Column = Annotated[PlainColumn | WholeColumn, Field(discriminator="type")]


def _require_order(minimum: float, maximum: float) -> None:
    if minimum >= maximum:
        raise ValueError("minimum must be below maximum")
