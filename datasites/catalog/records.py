"""A record between the table and the snapshot: one float32 a column, scaled; and the arrays that a trainer takes."""

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.table_checks import Batch, Values
from policies.manifest import CategoryColumn, Manifest


def record_cells(batch: Batch, manifest: Manifest) -> NDArray[np.float32]:
    """(rows, columns): numbers scaled to [−1, 1] by their bounds, categories as their index (below 1000, so exact)."""
    cells = np.empty((len(batch.units), len(manifest.columns)), np.float32)
    for place, column in enumerate(manifest.columns):
        values = batch.values[column.name]
        if isinstance(column, CategoryColumn):
            cells[:, place] = values
        else:
            cells[:, place] = _scaled(values, column.minimum, column.maximum)
    return cells


def record_features(cells: NDArray[np.float32], manifest: Manifest) -> NDArray[np.float32]:
    """(rows, feature_count): numbers as they are, categories one-hot, in the manifest's order without the target."""
    features = np.zeros((len(cells), manifest.feature_count), np.float32)
    start = 0
    for place, column in enumerate(manifest.columns):
        if column.name == manifest.target:
            continue
        if isinstance(column, CategoryColumn):
            features[np.arange(len(cells)), start + cells[:, place].astype(np.int64)] = 1
            start += len(column.categories)
        else:
            features[:, start] = cells[:, place]
            start += 1
    return features


def record_target(cells: NDArray[np.float32], manifest: Manifest) -> NDArray[np.float32]:
    """(rows,): the target's scaled number, or the index of its category."""
    return cells[:, manifest.columns.index(manifest.target_column)]


def _scaled(values: Values, minimum: float, maximum: float) -> NDArray[np.float32]:
    """Map [minimum, maximum] to [−1, 1]: 2(x − minimum)/(maximum − minimum) − 1."""
    scaled = 2 * ((values.astype(np.float64) - minimum) / (maximum - minimum)) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)
