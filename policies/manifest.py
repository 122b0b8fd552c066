"""Manifest: the public description of a data set, declared by its owner and never derived from the data."""

from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from policies.columns import (
    CategoryColumn,
    Column,
    ImageColumn,
    Label,
    PlainColumn,
    TextColumn,
    WholeColumn,
    feature_count,
)
from policies.errors import InvalidInputError
from policies.record_form import RecordForm, TensorForm
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.statements.schema import Name, StrictModel, Text, parse_model
from policies.statements.toml import parse_toml

MAXIMUM_MANIFEST_BYTES = 256 * 1024
MAXIMUM_FEATURES = 10_000
MAXIMUM_TARGETS = 100
MAXIMUM_UNIT_BYTES = 2**26
"""Most bytes that the features of one privacy unit's records take where they are kept."""

MINIMUM_UNITS = 50
MAXIMUM_NOMINAL_UNITS = 100_000_000
FEWEST_OF_NOMINAL, MOST_OF_NOMINAL = 0.5, 1.25
"""Between which multiples of its nominal number a data set's units must lie."""


class PrivacyUnit(StrictModel):
    """Whose presence is hidden: the column that names them, the most records kept of each, and their public number."""

    column: Label
    maximum_records: Annotated[int, Field(ge=1, le=1000)]
    nominal_units: Annotated[int, Field(ge=MINIMUM_UNITS, le=MAXIMUM_NOMINAL_UNITS)]


class Holdout(StrictModel):
    """The share of the units that models are measured on and never trained on."""

    fraction: Annotated[float, Field(ge=0, le=0.5)]


class Manifest(StrictModel):
    """What anybody may know of a data set. Its bounds, categories and counts are the owner's declaration."""

    version: Literal["cloister-manifest/1"] = "cloister-manifest/1"
    name: Name
    title: Annotated[Text, StringConstraints(max_length=200)]
    description: Text
    target: Label | Annotated[tuple[Label, ...], Field(min_length=2, max_length=MAXIMUM_TARGETS)]
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
        if not set(self.targets) <= set(names) or len(set(self.targets)) != len(self.targets):
            raise ValueError("target is not one of the columns, or names one twice; declare each once")
        for column in self.columns:
            if column.name in self.targets and (isinstance(column, WholeColumn) or column.missing is not None):
                raise ValueError("a target is a number, a category or a level, and never missing; name another column")
        if not self.feature_columns:
            raise ValueError("every column is a target; declare at least one that models predict from")
        if len(self.feature_columns) > 1 and not all(isinstance(it, PlainColumn) for it in self.feature_columns):
            raise ValueError("a text or image is a record's features alone: declare the target besides, nothing else")
        if self.holdout.fraction > 0 and self.holdout_units == 0:
            raise ValueError("holdout.fraction is less than one of the nominal units; raise it, or set it to 0")
        features = self.feature_shape[0]
        if self.whole_column is None and features > MAXIMUM_FEATURES:
            raise ValueError(f"the columns make {features} features; at most {MAXIMUM_FEATURES} are accepted")
        width = 4 if self.whole_column is None else 1
        if self.privacy_unit.maximum_records * prod(self.feature_shape) * width > MAXIMUM_UNIT_BYTES:
            raise ValueError(
                f"the features of one unit's records take more than {MAXIMUM_UNIT_BYTES} bytes; lower maximum_records"
            )
        return self

    def digest(self) -> str:
        """The digest that snapshots and log entries refer to."""
        return digest("manifest", self.canonical())

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the columns that models predict."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def target_form(self) -> TensorForm:
        """One record's target: of one category, its index, int64 []; of one other column, its number, float32 [].

        Of t > 1 columns their numbers, float32 [t]: categories as their index, others scaled to [−1, 1].
        """
        columns = {column.name: column for column in self.columns}
        targets = [columns[name] for name in self.targets]
        choices = tuple(len(it.categories) if isinstance(it, CategoryColumn) else None for it in targets)
        if not isinstance(self.target, str):
            return TensorForm(shape=(len(targets),), dtype="float32", choices=choices)
        (only,) = choices
        return TensorForm(shape=(), dtype="float32" if only is None else "int64", choices=only)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """Every column but the targets, in the order of the features."""
        return tuple(column for column in self.columns if column.name not in self.targets)

    @property
    def whole_column(self) -> WholeColumn | None:
        """The text or image that is a record's features alone, where there is one."""
        first = self.feature_columns[0]
        return None if isinstance(first, PlainColumn) else first

    @property
    def plain_columns(self) -> tuple[PlainColumn, ...]:
        """All columns but `whole_column`, the targets too."""
        return tuple(column for column in self.columns if isinstance(column, PlainColumn))

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one record's features as they are kept: columns [d], an image [c, h, w], a text [maximum_bytes].

        Each column makes `policies.columns.feature_count` of them.
        """
        whole = self.whole_column
        if isinstance(whole, ImageColumn):
            return whole.shape
        if whole is not None:
            return (whole.maximum_bytes,)
        return (sum(feature_count(it) for it in self.plain_columns if it.name not in self.targets),)

    def record_form(self, tokens: TensorForm | None = None) -> RecordForm:
        """What programs take of one record.

        Args:
            tokens: what a study's tokeniser makes of one text; given for a data set of texts, and for no other.

        Raises:
            InvalidInputError: the data set holds texts and the study has no tokeniser, or the other way round.
        """
        is_text = isinstance(self.whole_column, TextColumn)
        if is_text and tokens is None:
            raise InvalidInputError(
                f"The data set «{self.name}» holds texts, and the study brings no tokeniser; name one with the plan."
            )
        if tokens is not None and not is_text:
            raise InvalidInputError(f"The data set «{self.name}» holds no texts; leave the study's tokeniser out.")
        columns = TensorForm(shape=self.feature_shape, dtype="float32", choices=None)
        return RecordForm(features=tokens or columns, target=self.target_form)

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
