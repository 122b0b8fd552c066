"""The columns that a manifest declares: what a cell may hold."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Generic, Literal, Self, TypeVar

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

Labels = Annotated[tuple[Label, ...], Field(min_length=2, max_length=1000)]
Bound = Annotated[float, Field(ge=-1e15, le=1e15)]
IntegerBound = Annotated[int, Field(ge=-(10**15), le=10**15)]


Value = TypeVar("Value")


class Missing(StrictModel, Generic[Value]):
    """What stands for an empty cell; with an indicator, one more feature is 1 where the cell was empty, and else 0.

    Without this rule an empty cell is refused. The value is declared, never taken from the data.
    """

    value: Value
    indicator: bool


class NumberColumn(StrictModel):
    """Real numbers between public bounds."""

    type: Literal["number"]
    name: Label
    minimum: Bound
    maximum: Bound
    missing: Missing[Bound] | None = None
    description: Text | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_order(self.minimum, self.maximum, self.missing)
        return self


class IntegerColumn(StrictModel):
    """Whole numbers between public bounds."""

    type: Literal["integer"]
    name: Label
    minimum: IntegerBound
    maximum: IntegerBound
    missing: Missing[IntegerBound] | None = None
    description: Text | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_order(self.minimum, self.maximum, self.missing)
        return self


class CategoryColumn(StrictModel):
    """One of a public list of categories."""

    type: Literal["category"]
    name: Label
    categories: Labels
    missing: Missing[Label] | None = None
    description: Text | None = None

    @property
    def labels(self) -> Labels:
        """What a cell may hold."""
        return self.categories

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _require_distinct(self.categories, self.missing)
        return self


class OrdinalColumn(StrictModel):
    """One of a public list of levels, the lowest first."""

    type: Literal["ordinal"]
    name: Label
    levels: Labels
    missing: Missing[Label] | None = None
    description: Text | None = None

    @property
    def labels(self) -> Labels:
        """What a cell may hold."""
        return self.levels

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _require_distinct(self.levels, self.missing)
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


MeasuredColumn = NumberColumn | IntegerColumn
NamedColumn = CategoryColumn | OrdinalColumn
PlainColumn = MeasuredColumn | NamedColumn
"""A column of a table, one value a cell; the others fill a record's features alone."""

WholeColumn = TextColumn | ImageColumn

Column = Annotated[PlainColumn | WholeColumn, Field(discriminator="type")]


def feature_count(column: PlainColumn) -> int:
    """How many features a column makes: one for each category, else one; and one for its indicator of empty cells."""
    indicator = column.missing is not None and column.missing.indicator
    return (len(column.categories) if isinstance(column, CategoryColumn) else 1) + int(indicator)


def _require_order(minimum: float, maximum: float, missing: Missing[float] | Missing[int] | None) -> None:
    if minimum >= maximum:
        raise ValueError("minimum must be below maximum")
    if missing is not None and not minimum <= missing.value <= maximum:
        raise ValueError("missing.value is outside minimum to maximum; name a value that a cell could hold")


def _require_distinct(labels: Sequence[str], missing: Missing[str] | None) -> None:
    if len(set(labels)) != len(labels):
        raise ValueError("a category or level is listed twice; list each one once")
    if missing is not None and missing.value not in labels:
        raise ValueError("missing.value is none of the categories or levels; name one of them, or add one for it")
