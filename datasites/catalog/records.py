"""A record between the table and the snapshot: scaled float32 cells, a text's bytes; and what is kept of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.table_checks import Batch, Values
from policies.columns import CategoryColumn, OrdinalColumn, PlainColumn
from policies.manifest import Manifest


def record_type(manifest: Manifest) -> np.dtype[Any]:
    """A record while it is sorted: `key`, its unit; `place`, its number there; `cells`, one for each plain column:
    numbers scaled to [−1, 1] by their bounds, levels by their place, categories as their index (below 1000, so exact);
    `empty`, 1 where such a cell was; and `whole`, the bytes of a column that fills the features alone.
    """
    cells = len(manifest.plain_columns)
    fields: list[tuple[Any, ...]] = [("key", "<u8"), ("place", "<u4"), ("cells", "<f4", (cells,))]
    if any(column.missing is not None for column in manifest.plain_columns):
        fields.append(("empty", "?", (cells,)))
    if manifest.whole_column is not None:
        fields.append(("whole", "u1", manifest.feature_shape))
    return np.dtype(fields)


def fill_records(records: NDArray[Any], batch: Batch, rows: NDArray[np.bool_], manifest: Manifest) -> None:
    """Put the chosen rows of `batch` into `records`, of `record_type`: all but `key` and `place`."""
    for place, column in enumerate(manifest.plain_columns):
        records["cells"][:, place] = _scaled(column, batch.values[column.name][rows])
        if column.missing is not None:
            records["empty"][:, place] = batch.empty[column.name][rows]
    if manifest.whole_column is not None:
        records["whole"] = batch.values[manifest.whole_column.name][rows]


def record_features(records: NDArray[Any], manifest: Manifest) -> NDArray[np.float32 | np.uint8]:
    """(rows, *feature_shape): the whole column's bytes; or float32, in the manifest's order without the targets.

    Numbers and levels are as they are, categories one-hot; each column's indicator, if it has one, stands behind it.
    """
    if manifest.whole_column is not None:
        whole: NDArray[np.uint8] = records["whole"]
        return whole
    cells = records["cells"]
    features = np.zeros((len(cells), *manifest.feature_shape), np.float32)
    start = 0
    for place, column in enumerate(manifest.plain_columns):
        if column.name in manifest.targets:
            continue
        if isinstance(column, CategoryColumn):
            features[np.arange(len(cells)), start + cells[:, place].astype(np.int64)] = 1
            start += len(column.categories)
        else:
            features[:, start] = cells[:, place]
            start += 1
        if column.missing is not None and column.missing.indicator:
            features[:, start] = records["empty"][:, place]
            start += 1
    return features


def record_target(records: NDArray[Any], manifest: Manifest) -> NDArray[np.float32]:
    """(rows,): the target's scaled number, or the index of its category; of several targets (rows, t)."""
    names = [column.name for column in manifest.plain_columns]
    targets: NDArray[np.float32] = records["cells"][:, [names.index(name) for name in manifest.targets]]
    return targets.reshape(len(records), *manifest.target_form.shape)


def _scaled(column: PlainColumn, values: Values) -> NDArray[np.float32]:
    """Categories as they are; others mapped to [−1, 1]: 2(x − minimum)/(maximum − minimum) − 1."""
    if isinstance(column, CategoryColumn):
        return values.astype(np.float32)
    if isinstance(column, OrdinalColumn):
        minimum, maximum = 0.0, len(column.levels) - 1.0
    else:
        minimum, maximum = column.minimum, column.maximum
    scaled = 2 * ((values.astype(np.float64) - minimum) / (maximum - minimum)) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)
