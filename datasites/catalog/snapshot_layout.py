"""How a snapshot file is laid out: a header of fixed size, then one row of fixed size for each unit."""

from math import prod
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from policies.errors import NotAuthenticError
from policies.manifest import MAXIMUM_TARGETS, MAXIMUM_UNIT_BYTES, Manifest
from policies.statements.schema import Digest, StrictModel, parse_model

HEADER_BYTES = 512

Count = Annotated[int, Field(ge=0, le=2**40)]
Dimension = Annotated[int, Field(ge=1, le=MAXIMUM_UNIT_BYTES)]


class SnapshotLayout(StrictModel):
    """The header: which manifest made the file, and how many units it holds, those trained on before those held out."""

    version: Literal["cloister-snapshot/2"] = "cloister-snapshot/2"
    manifest: Digest
    records: Annotated[int, Field(ge=1, le=1000)]
    features: Literal["columns", "image", "text"]
    shape: Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=3)]
    target: Literal["float32", "int64"]
    targets: Annotated[tuple[Annotated[int, Field(ge=2, le=MAXIMUM_TARGETS)], ...], Field(max_length=1)]
    training_units: Count
    holdout_units: Count

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        width = 4 if self.features == "columns" else 1
        if self.records * prod(self.shape) * width > MAXIMUM_UNIT_BYTES:
            raise ValueError(f"the features of a unit take more than {MAXIMUM_UNIT_BYTES} bytes")
        return self

    @property
    def unit_type(self) -> np.dtype[Any]:
        """A unit's row: the features, targets and mask of k records; where there is no record, all is 0.

        Features: columns, float32 [d] in [−1, 1], one-hot categories in {0, 1}; an image, uint8 [c, h, w]; or a text,
        uint8 [maximum_bytes], UTF-8 padded with zeros. A target: float32 [t], or one number. The mask is 1 where there
        is a record.
        """
        k = self.records
        fields: list[tuple[str, str, tuple[int, ...]]] = [
            ("features", "<f4" if self.features == "columns" else "u1", (k, *self.shape)),
            ("target", "<f4" if self.target == "float32" else "<i8", (k, *self.targets)),
            ("mask", "?", (k,)),
        ]
        return np.dtype(fields)

    @property
    def units(self) -> int:
        """How many units there are on both sides."""
        return self.training_units + self.holdout_units

    @property
    def file_bytes(self) -> int:
        """The size of the whole file."""
        return HEADER_BYTES + self.units * self.unit_type.itemsize

    def header(self) -> bytes:
        """The first `HEADER_BYTES` of the file."""
        return self.canonical().ljust(HEADER_BYTES)


def layout_of(manifest: Manifest, training_units: int, holdout_units: int) -> SnapshotLayout:
    """The layout of a snapshot that `manifest` makes."""
    return SnapshotLayout(
        manifest=manifest.digest(),
        records=manifest.privacy_unit.maximum_records,
        features="columns" if manifest.whole_column is None else manifest.whole_column.type,
        shape=manifest.feature_shape,
        target=manifest.target_form.dtype,
        targets=manifest.target_form.shape,
        training_units=training_units,
        holdout_units=holdout_units,
    )


def layout_in(header: bytes) -> SnapshotLayout:
    """The layout that a file's first `HEADER_BYTES` say.

    Raises:
        InvalidInputError: it is no snapshot of this version.
    """
    return parse_model(SnapshotLayout, header.rstrip(b" "), maximum_bytes=HEADER_BYTES, what="The snapshot's header")


def parse_layout(header: bytes, file_bytes: int) -> SnapshotLayout:
    """Parse the header of a file of `file_bytes`.

    Raises:
        InvalidInputError: it is no snapshot of this version.
        NotAuthenticError: the file has another size than its header says.
    """
    layout = layout_in(header)
    if layout.file_bytes != file_bytes:
        raise NotAuthenticError(f"The snapshot has {file_bytes} bytes and its header says {layout.file_bytes}.")
    return layout
