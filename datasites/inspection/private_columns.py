"""A piece of a private column in the canonical spelling: numbers beside words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.cells import plain_text


@dataclass(frozen=True, eq=False, repr=False)
class PrivateColumn:
    """Some records' values: `numbers`, NaN if it is none, and `codes`, places in `words`, −1 if it is none."""

    numbers: NDArray[np.float64]
    words: tuple[str, ...]
    codes: NDArray[np.int64]

    def word_places(self, vocabulary: Vocabulary) -> NDArray[np.int64]:
        """Which of the vocabulary each record's word is, −1 for none [records]."""
        if not self.words:
            return np.full(self.codes.size, -1, np.int64)
        return np.append(vocabulary.words(self.words), -1)[self.codes]

    def values(self) -> NDArray[np.object_]:
        """Each record's canonical cell, None where empty."""
        return self.values_at(np.arange(self.codes.size))

    def values_at(self, records: NDArray[np.int64]) -> NDArray[np.object_]:
        """The canonical cells of some records."""
        values: NDArray[np.object_] = np.array([*self.words, None], dtype=object)[self.codes[records]]
        numbers = self.numbers[records]
        filled = ~np.isnan(numbers)
        values[filled] = numbers[filled]
        return values


Chunk = Mapping[str, PrivateColumn]
"""Consecutive records of one private table, by column."""


def private_column(series: "pd.Series[Any]") -> PrivateColumn:
    """The canonical spelling of a column that pandas read."""
    if pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype):
        return number_column(series.to_numpy(dtype=np.float64, na_value=np.nan))
    places, distinct = pd.factorize(series.astype(str).where(series.notna(), None))
    spelled = [plain_text(text) for text in np.asarray(distinct, dtype=object).tolist()]
    words = tuple(dict.fromkeys(value for value in spelled if isinstance(value, str)))
    index = {word: place for place, word in enumerate(words)}
    codes = np.array([index[value] if isinstance(value, str) else -1 for value in spelled] + [-1], np.int64)
    numbers = np.array([value if isinstance(value, float) else np.nan for value in spelled] + [np.nan], np.float64)
    return PrivateColumn(numbers[places], words, codes[places])


def number_column(numbers: NDArray[np.float64]) -> PrivateColumn:
    """A column that holds only numbers."""
    return PrivateColumn(np.where(np.isfinite(numbers), numbers, np.nan), (), np.full(numbers.size, -1, np.int64))
