"""Manifest: the public description of a data set, declared by its owner and never derived from the data."""

import unicodedata
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from policies.errors import InvalidInputError
from policies.record_form import RecordForm, TensorForm
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.statements.schema import Name, StrictModel, Text, parse_model
from policies.statements.toml import parse_toml

MAXIMUM_MANIFEST_BYTES = 256 * 1024
MAXIMUM_FEATURES = 10_000
MINIMUM_UNITS = 50


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


Column = Annotated[NumberColumn | IntegerColumn | CategoryColumn, Field(discriminator="type")]


class PrivacyUnit(StrictModel):
    """Whose presence is hidden: the column that names them, the most records kept of each, and their public number."""

    column: Label
    maximum_records: Annotated[int, Field(ge=1, le=1000)]
    nominal_units: Annotated[int, Field(ge=MINIMUM_UNITS, le=100_000_000)]


class Holdout(StrictModel):
    """The share of the units that models are measured on and never trained on."""

    fraction: Annotated[float, Field(ge=0, le=0.5)]


class Manifest(StrictModel):
    """What anybody may know of a data set. Its bounds, categories and counts are the owner's declaration."""

    version: Literal["cloister-manifest/1"] = "cloister-manifest/1"
    name: Name
    title: Annotated[Text, StringConstraints(max_length=200)]
    description: Text
    target: Label
    privacy_unit: PrivacyUnit
    holdout: Holdout
    columns: Annotated[tuple[Column, ...], Field(min_length=2, max_length=1000)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("two columns have the same name; give each its own")
        if self.privacy_unit.column in names:
            raise ValueError("the privacy unit's column names people: take it out of columns, it is never a feature")
        if self.target not in names:
            raise ValueError("target is not one of the columns; declare it there")
        if self.holdout.fraction > 0 and self.holdout_units == 0:
            raise ValueError("holdout.fraction is less than one of the nominal units; raise it, or set it to 0")
        if self.feature_count > MAXIMUM_FEATURES:
            raise ValueError(f"the columns make {self.feature_count} features; at most {MAXIMUM_FEATURES} are accepted")
        return self

    def digest(self) -> str:
        """The digest that snapshots and log entries refer to."""
        return digest("manifest", self.canonical())

    @property
    def target_column(self) -> Column:
        """The column that models predict."""
        return next(column for column in self.columns if column.name == self.target)

    @property
    def target_dtype(self) -> Literal["float32", "int64"]:
        """float32: a number scaled to [−1, 1] by its bounds; int64: the index of a category in `categories`."""
        return "int64" if isinstance(self.target_column, CategoryColumn) else "float32"

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """Every column but the target, in the order of the features."""
        return tuple(column for column in self.columns if column.name != self.target)

    @property
    def feature_count(self) -> int:
        """Length of one record's feature vector: 1 for a number or integer, one-hot for a category."""
        return sum(
            len(column.categories) if isinstance(column, CategoryColumn) else 1 for column in self.feature_columns
        )

    @property
    def record_form(self) -> RecordForm:
        """What programs take of one record."""
        target = self.target_column
        choices = len(target.categories) if isinstance(target, CategoryColumn) else None
        return RecordForm(
            features=TensorForm(shape=(self.feature_count,), dtype="float32", choices=None),
            target=TensorForm(shape=(), dtype=self.target_dtype, choices=choices),
        )

    @property
    def training_units(self) -> int:
        """The public number of units that training counts with, whatever the true number is."""
        return self.privacy_unit.nominal_units - self.holdout_units

    @property
    def holdout_units(self) -> int:
        """The public number of units that evaluation counts with."""
        return round(self.privacy_unit.nominal_units * self.holdout.fraction)


def parse_manifest(data: bytes) -> Manifest:
    """Parse an owner's manifest, a TOML file.

    Raises:
        InvalidInputError: it is not TOML, too long, or a field is wrong; naming the field.
    """
    what = "The manifest"
    document = parse_toml(data, maximum_bytes=MAXIMUM_MANIFEST_BYTES, what=what)
    try:
        content = canonical_bytes(document)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{what} holds a date, or a number that is infinite, no number or too large; write text or a plain number."
        ) from error
    manifest = parse_model(Manifest, content, maximum_bytes=MAXIMUM_MANIFEST_BYTES, what=what)
    published = len(manifest.canonical())
    if published > MAXIMUM_MANIFEST_BYTES:
        raise InvalidInputError(f"{what} is published as {published} bytes; shorten it to {MAXIMUM_MANIFEST_BYTES}.")
    return manifest


def parse_published_manifest(data: bytes) -> Manifest:
    """Parse a manifest as it is stored and published: canonical JSON.

    Raises:
        InvalidInputError: it is not canonical, too long, or a field is wrong; naming the field.
    """
    return parse_model(Manifest, data, maximum_bytes=MAXIMUM_MANIFEST_BYTES, what="The published manifest")


def _require_order(minimum: float, maximum: float) -> None:
    if minimum >= maximum:
        raise ValueError("minimum must be below maximum")
