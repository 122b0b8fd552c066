"""The distinct values of the outputs, and where private values agree with them: exactly, or as far as they are written.

A number with two decimals agrees with every number that rounds to it, one with seven or more with those that differ by
a millionth at most.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from policies.disclosure.cells import EXACT, decimals, tolerance

_RELATIVE, _SMALLEST = 1e-6, 1e-2
_FINE = 3


class Vocabulary:
    """Canonical values, numbered in the order given."""

    def __init__(self, values: Sequence[float | str], *, exact: bool = False) -> None:
        """Number `values`, which are distinct. `exact`: numbers agree only if they are equal but for a millionth."""
        self.size = len(values)
        self.texts = {value: place for place, value in enumerate(values) if isinstance(value, str)}
        self.values = np.array([np.nan if isinstance(value, str) else value for value in values], np.float64)
        """The numbers among them [values]; NaN for text."""
        self.tolerances = np.full(len(values), np.nan)
        """Half the width within which numbers agree with each value [values]; NaN for text."""
        self._classes: list[tuple[int, NDArray[np.float64], NDArray[np.int64]]] = []
        places = np.flatnonzero(~np.isnan(self.values))
        numbers = self.values[places]
        written = np.array([EXACT if exact else decimals(number) for number in numbers.tolist()], np.int64)
        closest = _RELATIVE * np.maximum(np.abs(numbers), _SMALLEST)
        self.tolerances[places] = closest if exact else [tolerance(number) for number in numbers.tolist()]
        for kind in np.unique(written).tolist():
            chosen = np.flatnonzero(written == kind)
            order = chosen[np.argsort(numbers[chosen], kind="stable")]
            self._classes.append((kind, numbers[order], places[order]))

    def numbers(self, values: NDArray[np.float64], *, fine: bool = False) -> Iterator[NDArray[np.int64]]:
        """For each precision in turn, which of the vocabulary each value agrees with, −1 for none [values].

        Args:
            fine: only with numbers of at least three decimals.
        """
        for kind, numbers, places in self._classes:
            if kind < _FINE and fine:
                continue
            after = np.searchsorted(numbers, values).clip(0, numbers.size - 1)
            before = (after - 1).clip(0)
            nearer = np.abs(values - numbers[before]) <= np.abs(values - numbers[after])
            place = places[np.where(nearer, before, after)]
            nearest = numbers[np.where(nearer, before, after)]
            with np.errstate(invalid="ignore"):
                agrees = np.abs(values - nearest) <= self.tolerances[place] * (1 + 1e-9)
            yield np.where(agrees, place, -1)

    def words(self, words: Iterable[str]) -> NDArray[np.int64]:
        """Which of the vocabulary each word is, −1 for none [words]."""
        return np.array([self.texts.get(word, -1) for word in words], np.int64)
