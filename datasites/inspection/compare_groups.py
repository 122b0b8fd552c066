"""Tables by groups, counted again in the private data: small groups, dominant records, rare combinations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datasites.inspection.group_query import Counting, GroupQuery
from policies.disclosure.cells import Cell, Table, plain
from policies.disclosure.findings import Finding
from policies.disclosure.groups import (
    Shared,
    check_combinations,
    check_dominance,
    check_groups,
    names_sum,
    shared_columns,
)
from policies.disclosure.rules import DisclosureRules

_MOST_INDEXED = 200


@dataclass(frozen=True)
class GroupComparison:
    """One table of an output and what is asked of one private table about it."""

    table: Table
    shared: Shared
    keys: GroupQuery | None
    combinations: GroupQuery | None
    indexes: tuple[GroupQuery, ...]
    """For a leading column without a private name: one query a private column that its labels might be of."""

    def queries(self) -> Iterator[GroupQuery]:
        """All queries, to be put to the private table."""
        yield from (query for query in (self.keys, self.combinations) if query is not None)
        yield from self.indexes

    def findings(self, rules: DisclosureRules) -> Iterator[Finding]:
        """What the answers say, once the private table has passed by."""
        keys = self.keys or self._index()
        if keys is not None:
            if keys.columns:
                yield from check_groups(self.table, keys.columns, keys.counts(), rules)
            yield from check_dominance(self.table, keys.sums(), rules)
        if self.combinations is not None and (keys is None or not keys.columns or _has_small(keys, rules)):
            yield from check_combinations(self.table, self.combinations.columns, self.combinations.counts(), rules)

    def _index(self) -> GroupQuery | None:
        """The query of the column that has all labels of the index; of several, the one with the largest groups."""
        fitting = [query for query in self.indexes if (query.counts() > 0).all()]
        return max(fitting, key=lambda query: int(query.counts().min()), default=None)


def compare_groups(table: Table, private: Sequence[str], counting: Counting) -> GroupComparison | None:
    """Prepare the queries for a table with named columns; None if it has nothing in common with the private columns."""
    if not table.columns or not table.rows:
        return None
    shared = shared_columns(table, private)
    plain_rows = [tuple(map(plain, row)) for row in table.rows]
    keys = combinations = None
    if shared.keys or len(table.rows) == 1:
        summed = _summed(table, shared, private)
        rows = [tuple(row[place] for place in shared.places[: shared.keys]) for row in plain_rows]
        if shared.keys or summed:
            keys = GroupQuery(shared.private[: shared.keys], rows, counting, summed)
    if len(shared.places) > max(1, shared.keys):
        combinations = GroupQuery(
            shared.private, [tuple(row[place] for place in shared.places) for row in plain_rows], counting
        )
    indexes: tuple[GroupQuery, ...] = ()
    if keys is None and _is_index(plain_rows) and 0 not in shared.places:
        rows = [(row[0],) for row in plain_rows]
        indexes = tuple(
            GroupQuery((name,), rows, counting, [it for it in _summed(table, shared, private) if it != name])
            for name in private[:_MOST_INDEXED]
        )
    if keys is None and combinations is None and not indexes:
        return None
    return GroupComparison(table, shared, keys, combinations, indexes)


def _is_index(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether the first column has different words only: numbers would be found in many private columns."""
    first = [row[0] for row in rows]
    return len(first) > 1 and len(set(first)) == len(first) and all(isinstance(label, str) for label in first)


def _has_small(keys: GroupQuery, rules: DisclosureRules) -> bool:
    return bool((keys.counts() < rules.minimum_group).any())


def _summed(table: Table, shared: Shared, private: Sequence[str]) -> list[str]:
    """The private columns of which the table may hold totals or means: its columns are named after them."""
    keys = shared.places[: shared.keys]
    names = [name for place, name in enumerate(table.columns) if place not in keys and not table.is_index(place)]
    return [
        column
        for column in private
        if column not in shared.private[: shared.keys] and any(names_sum(name, column) for name in names)
    ]
