"""Record forms of tables, as tests write them."""

from typing import Literal

from policies.record_form import RecordForm, TensorForm


def columns(count: int, target: Literal["float32", "int64"], choices: int | None = None) -> RecordForm:
    """Records of `count` columns and one target."""
    return RecordForm(
        features=TensorForm(shape=(count,), dtype="float32", choices=None),
        target=TensorForm(shape=(), dtype=target, choices=choices),
    )
