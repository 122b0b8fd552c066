"""Record forms of tables, as tests write them."""

from typing import Literal

from datasites.execution.trainer_messages import DataSize
from policies.record_form import RecordForm, TensorForm


def columns(count: int, target: Literal["float32", "int64"], choices: int | None = None) -> RecordForm:
    """Records of `count` columns and one target."""
    return RecordForm(
        features=TensorForm(shape=(count,), dtype="float32", choices=None),
        target=TensorForm(shape=(), dtype=target, choices=choices),
    )


def data_size(training: int, holdout: int, records: int = 1) -> DataSize:
    """Public numbers of units on both sides, and the most records of one."""
    return DataSize(nominal_training_units=training, nominal_holdout_units=holdout, maximum_records=records)
