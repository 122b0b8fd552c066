"""Record forms of images and token sequences, as the models here take them."""

from typing import Literal

from policies.record_form import RecordForm, TensorForm


def image(channels: int, side: int, choices: int) -> RecordForm:
    """A square image and its category."""
    return RecordForm(
        features=TensorForm(shape=(channels, side, side), dtype="float32", choices=None),
        target=TensorForm(shape=(), dtype="int64", choices=choices),
    )


def tokens(length: int, vocabulary: int, target: Literal["float32", "int64"], choices: int | None = None) -> RecordForm:
    """A sequence of token numbers and one target."""
    return RecordForm(
        features=TensorForm(shape=(length,), dtype="int64", choices=vocabulary),
        target=TensorForm(shape=(), dtype=target, choices=choices),
    )


def several_targets(columns: int, targets: int) -> RecordForm:
    """Columns and a vector of numbers to predict."""
    return RecordForm(
        features=TensorForm(shape=(columns,), dtype="float32", choices=None),
        target=TensorForm(shape=(targets,), dtype="float32", choices=None),
    )
