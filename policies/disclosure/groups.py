"""Tables by groups: which columns are the groups' keys, and what the private data says of each group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.disclosure.cells import INDEX, VALUE, Cell, Table, fold, is_whole, plain, tolerance
from policies.disclosure.content_findings import Dominance, RareCombinations, SmallGroups
from policies.disclosure.finding_parts import as_label
from policies.disclosure.rules import DisclosureRules

_MOST_LABELS = 8
_RELATIVE = 1e-6


@dataclass(frozen=True)
class Shared:
    """The columns of an output's table that the private data has too: places in the table → private column."""

    places: tuple[int, ...]
    private: tuple[str, ...]
    keys: int
    """How many of the first of them are the keys: the fewest leading ones that tell all rows apart; 0 if none do."""


def shared_columns(table: Table, private: Sequence[str]) -> Shared:
    """Find the columns of `table`, which has some, that are named as private ones."""
    by_name = {fold(name): name for name in private}
    places = tuple(place for place, name in enumerate(table.columns) if name and fold(name) in by_name)
    return Shared(
        places=places,
        private=tuple(by_name[fold(table.columns[place])] for place in places),
        keys=_keys(table, places),
    )


def _keys(table: Table, places: tuple[int, ...]) -> int:
    """The fewest leading columns that tell all rows apart, after an index that only numbers them.

    Nobody groups by fractions. Where a JSON object's fields are numbered, whole numbers too may be figures.
    """
    first = 1 if table.columns[0] in ("", INDEX) and _numbers_rows(table.column(0)) else 0
    fit: Callable[[Cell], bool] = _is_word if table.columns[0] == INDEX else _is_word_or_whole
    for used in range(1, len(places) + 1):
        if places[used - 1] != first + used - 1 or not all(map(fit, table.column(places[used - 1]))):
            return 0
        combinations = {tuple(plain(row[place]) for place in places[:used]) for row in table.rows}
        if len(combinations) == len(table.rows) > 1:
            return used
    return 0


def _numbers_rows(cells: Sequence[Cell]) -> bool:
    return all(plain(cell) == float(number) for number, cell in enumerate(cells))


def _is_word(cell: Cell) -> bool:
    return not isinstance(plain(cell), float)


def _is_word_or_whole(cell: Cell) -> bool:
    return _is_word(cell) or is_whole(cell)


def names_sum(name: str, column: str) -> bool:
    """Whether an output's column of this name may hold totals or means of a private column: named after it, or not."""
    return name in ("", VALUE) or fold(column) in fold(name)


def check_groups(
    table: Table, columns: Sequence[str], counts: NDArray[np.int64], rules: DisclosureRules
) -> list[SmallGroups]:
    """Rows whose group has some, but fewer than `minimum_group`, private records.

    Args:
        counts: people or records of each row's group in the private data [rows].
    """
    small = counts[(counts > 0) & (counts < rules.minimum_group)]
    if not small.size:
        return []
    return [
        SmallGroups(
            output=table.output,
            columns=_labels(columns),
            rows=int(small.size),
            smallest=int(small.min()),
            minimum=rules.minimum_group,
        )
    ]


def check_combinations(
    table: Table, columns: Sequence[str], counts: NDArray[np.int64], rules: DisclosureRules
) -> list[RareCombinations]:
    """Rows without keys whose values in all shared columns stand together in few private records: quasi-identifiers.

    A median is often some record's value, so that two rows must agree, or the only one in three columns.

    Args:
        counts: private records that agree with each row in all of the columns [rows].
    """
    rare = int(((counts > 0) & (counts < rules.minimum_group)).sum())
    if rare < 2 and (not rare or len(table.rows) > 1 or len(columns) < 3):
        return []
    return [RareCombinations(output=table.output, columns=_labels(columns), rows=rare, minimum=rules.minimum_group)]


@dataclass(frozen=True)
class Sums:
    """What the private data says of one column in each row's group [rows] each."""

    column: str
    counts: NDArray[np.int64]
    totals: NDArray[np.float64]
    sizes: NDArray[np.float64]
    """Totals of the absolute values."""

    largest: NDArray[np.float64]
    """Totals of the n largest absolute values."""


def check_dominance(table: Table, all_sums: Sequence[Sums], rules: DisclosureRules) -> list[Dominance]:
    """The (n, k) rule: where a total or mean of a group large enough is told, its n largest make up at most k of it.

    A cell is taken for a total or mean if its column is named after the private one and it is that, as far as written.
    """
    dominated, shares = [], [0.0]
    rows: set[int] = set()
    for sums in all_sums:
        share = np.divide(sums.largest, sums.sizes, out=np.zeros_like(sums.sizes), where=sums.sizes > 0)
        over = (sums.counts >= rules.minimum_group) & (share > rules.dominant_share)
        places = [place for place, name in enumerate(table.columns) if names_sum(name, sums.column)]
        told = [
            row for row in np.flatnonzero(over).tolist() if _tells([table.rows[row][it] for it in places], sums, row)
        ]
        if told:
            dominated.append(sums.column)
            shares.append(float(share[told].max()))
            rows.update(told)
    if not dominated:
        return []
    return [
        Dominance(
            output=table.output,
            columns=_labels(dominated),
            rows=len(rows),
            contributors=rules.dominant_contributors,
            share=min(1.0, max(shares)),
            most=rules.dominant_share,
        )
    ]


def _tells(cells: Sequence[Cell], sums: Sums, row: int) -> bool:
    total = float(sums.totals[row])
    told = (total, total / float(sums.counts[row]))
    numbers = [value for cell in cells if isinstance(value := plain(cell), float) and value != 0]
    return any(abs(number - it) <= max(tolerance(number), _RELATIVE * abs(it)) for number in numbers for it in told)


def _labels(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_label(name) for name in columns[:_MOST_LABELS])
