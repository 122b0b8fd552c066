"""Tables by groups: which columns are the groups' keys, and what the private data says of each group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.disclosure.cells import Cell, Table, fold, plain
from policies.disclosure.content_findings import Dominance, RareCombinations, SmallGroups
from policies.disclosure.finding_parts import as_label
from policies.disclosure.rules import DisclosureRules

_MOST_LABELS = 8


@dataclass(frozen=True)
class Shared:
    """The columns of an output's table that the private data has too: places in the table → private column."""

    places: tuple[int, ...]
    private: tuple[str, ...]
    keys: int
    """How many of the first of them are the keys: the fewest leading ones that tell all rows apart; 0 if none do."""


def shared_columns(table: Table, private: Sequence[str]) -> Shared:
    """Find the columns of `table` named as private ones; a nameless one that numbers the rows may stand before them."""
    by_name = {fold(name): name for name in private}
    places = tuple(place for place, name in enumerate(table.columns) if name and fold(name) in by_name)
    return Shared(
        places=places,
        private=tuple(by_name[fold(table.columns[place])] for place in places),
        keys=_keys(table, places),
    )


def _keys(table: Table, places: tuple[int, ...]) -> int:
    first = 1 if table.columns and not table.columns[0] and _numbers_rows(table.column(0)) else 0
    for used in range(1, len(places) + 1):
        if places[used - 1] != first + used - 1:
            return 0
        combinations = {tuple(plain(row[place]) for place in places[:used]) for row in table.rows}
        if len(combinations) == len(table.rows) > 1:
            return used
    return 0


def _numbers_rows(cells: Sequence[Cell]) -> bool:
    return all(plain(cell) == float(number) for number, cell in enumerate(cells))


def check_groups(
    table: Table, columns: Sequence[str], counts: NDArray[np.int64], rules: DisclosureRules
) -> list[SmallGroups]:
    """Rows whose group has some, but fewer than `minimum_group`, private records.

    Args:
        counts: private records of each row's group [rows].
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
    table: Table, columns: Sequence[str], beside_keys: int, counts: NDArray[np.int64], rules: DisclosureRules
) -> list[RareCombinations]:
    """Rows whose values in all shared columns stand together in few private records: quasi-identifiers.

    A median is often some record's value. So three values beside the keys of a group that is large enough must agree,
    or two in at least two rows.

    Args:
        beside_keys: how many of the columns are no keys.
        counts: private records that agree with each row in all of the columns [rows].
    """
    rare = int(((counts > 0) & (counts < rules.minimum_group)).sum())
    if not rare or beside_keys < 2 or (beside_keys == 2 and rare < 2):
        return []
    return [RareCombinations(output=table.output, columns=_labels(columns), rows=rare, minimum=rules.minimum_group)]


def check_dominance(
    table: Table,
    column: str,
    counts: NDArray[np.int64],
    totals: NDArray[np.float64],
    largest: NDArray[np.float64],
    rules: DisclosureRules,
) -> list[Dominance]:
    """The (n, k) rule: in each group large enough, the n largest contributors make up at most k of the total.

    Args:
        counts: private records of each row's group [rows].
        totals: the sum of the column's absolute values over them [rows].
        largest: the sum of its n largest absolute values [rows].
    """
    looked_at = (counts >= rules.minimum_group) & (totals > 0)
    shares = np.divide(largest, totals, out=np.zeros_like(totals), where=looked_at)
    over = shares[shares > rules.dominant_share]
    if not over.size:
        return []
    return [
        Dominance(
            output=table.output,
            column=as_label(column),
            rows=int(over.size),
            contributors=rules.dominant_contributors,
            share=min(1.0, float(over.max())),
            most=rules.dominant_share,
        )
    ]


def _labels(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_label(name) for name in columns[:_MOST_LABELS])
