"""The form of one record as a study's programs take it: public, derived from a data set's manifest."""

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from policies.statements.schema import StrictModel

MAXIMUM_RECORD_ELEMENTS = 1_000_000

_Choices = Annotated[int, Field(ge=1, le=2**31)]
_Dimension = Annotated[int, Field(ge=1, le=MAXIMUM_RECORD_ELEMENTS)]


class TensorForm(StrictModel):
    """Shape and type of one tensor of a record; where `choices` is given, its integers lie from 0 to choices − 1.

    Of several targets, `choices` says so of each: None of one that is no category.
    """

    shape: Annotated[tuple[_Dimension, ...], Field(max_length=4)]
    dtype: Literal["float32", "int64"]
    choices: _Choices | tuple[_Choices | None, ...] | None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


class RecordForm(StrictModel):
    """A record: its features, such as columns [d], an image [c, h, w] or tokens [length], and its target, [] or [t]."""

    features: TensorForm
    target: TensorForm
