"""A record between the table and the snapshot: scaled float32 cells, a text's bytes; and what is kept of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.table_checks import Batch, Values
from policies.columns import CategoryColumn
from policies.manifest import Manifest


def record_type(manifest: Manifest) -> np.dtype[Any]:
    """A record while it is sorted: `key`, its unit; `place`, its number there; `cells`, one for each plain column:
    numbers scaled to [−1, 1] by their bounds, categories as their index (below 1000, so exact); and `whole`, the bytes
    of the column that fills the features alone, if there is one.
    """
    fields: list[tuple[Any, ...]] = [("key", "<u8"), ("place", "<u4"), ("cells", "<f4", (len(manifest.plain_columns),))]
    if manifest.whole_column is not None:
        fields.append(("whole", "u1", manifest.feature_shape))
    return np.dtype(fields)


def fill_records(records: NDArray[Any], batch: Batch, rows: NDArray[np.bool_], manifest: Manifest) -> None:
    """Put the chosen rows of `batch` into `records`, of `record_type`: all but `key` and `place`."""
    for place, column in enumerate(manifest.plain_columns):
        values = batch.values[column.name][rows]
        if isinstance(column, CategoryColumn):
            records["cells"][:, place] = values
        else:
            records["cells"][:, place] = _scaled(values, column.minimum, column.maximum)
    if manifest.whole_column is not None:
        records["whole"] = batch.values[manifest.whole_column.name][rows]


def record_features(records: NDArray[Any], manifest: Manifest) -> NDArray[np.float32 | np.uint8]:
    """(rows, *feature_shape): the whole column's bytes; or float32, numbers as they are, categories one-hot, in the
    manifest's order without the target.
    """
    if manifest.whole_column is not None:
        whole: NDArray[np.uint8] = records["whole"]
        return whole
    cells = records["cells"]
    features = np.zeros((len(cells), *manifest.feature_shape), np.float32)
    start = 0
    for place, column in enumerate(manifest.plain_columns):
        if column.name == manifest.target:
            continue
        if isinstance(column, CategoryColumn):
            features[np.arange(len(cells)), start + cells[:, place].astype(np.int64)] = 1
            start += len(column.categories)
        else:
            features[:, start] = cells[:, place]
            start += 1
    return features


def record_target(records: NDArray[Any], manifest: Manifest) -> NDArray[np.float32]:
    """(rows,): the target's scaled number, or the index of its category."""
    names = [column.name for column in manifest.plain_columns]
    target: NDArray[np.float32] = records["cells"][:, names.index(manifest.target)]
    return target


def _scaled(values: Values, minimum: float, maximum: float) -> NDArray[np.float32]:
    """Map [minimum, maximum] to [−1, 1]: 2(x − minimum)/(maximum − minimum) − 1."""
    scaled = 2 * ((values.astype(np.float64) - minimum) / (maximum - minimum)) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)
