"""Columns of counts in an output: none may be too small. What is no table of counts is left alone."""

import re
from collections.abc import Callable, Collection

from policies.disclosure.cells import Cell, Table, fold, is_integer, is_whole, plain
from policies.disclosure.content_findings import SmallCounts
from policies.disclosure.finding_parts import Severity, as_label
from policies.disclosure.rules import DisclosureRules

_COUNTED = (
    "records|patients|people|persons|subjects|individuals|cases|customers|clients|accounts|obs|observations|samples"
)
_COUNT = re.compile(rf"n|nr|num|number|(n|nr|num|number)[ _.](of[ _.])?({_COUNTED})|{_COUNTED}")
_COUNT_WORD = re.compile(r"(?<![a-z])(counts?|freq|frequency|frequencies|support)(?![a-z])")
_NO_COUNT = re.compile(r"(?<![a-z])(mean|avg|average|median|std|var|min|max|sum|rate|share|ratio|percent|pct)(?![a-z])")
_SIZES = frozenset({"size", "group size", "group_size", "sample size", "sample_size", "cell size", "cell_size"})


def check_counts(
    table: Table, private: Collection[str], totals: Collection[int], rules: DisclosureRules
) -> list[SmallCounts]:
    """Find counts below `minimum_group`; nought is no group.

    A column counts if its name says so, or if it, or all whole-number columns of the table together, add up to the
    number of private records. Several whole-number columns beside a key, or nothing but such columns, may be a table
    of frequencies, as of a confusion matrix: that is a note.

    Args:
        private: the names of the private columns: whole numbers under such a name are values, unless it means a count.
        totals: how many records the private tables have.
    """
    known = {fold(name) for name in private}
    named = [place for place in _filled(table, is_whole) if _is_named_count(table.columns[place])]
    others = [
        place
        for place in _filled(table, is_integer)
        if place not in named and fold(table.columns[place]) not in known and not table.is_index(place)
    ]
    sums = {place: sum(_whole(table, place)) for place in others}
    together = len(others) > 1 and sum(sums.values()) in totals
    found = [_judged(table, place, "hold", rules) for place in named]
    for place in others:
        if together or (len(table.rows) > 1 and sums[place] in totals):
            found.append(_judged(table, place, "hold", rules))
        elif _is_grid(table, others) and max(_whole(table, place)) > 1:
            found.append(_judged(table, place, "note", rules))
    return [it for it in found if it is not None]


def _judged(table: Table, place: int, severity: Severity, rules: DisclosureRules) -> SmallCounts | None:
    small = [count for count in _whole(table, place) if 0 < count < rules.minimum_group]
    if not small:
        return None
    return SmallCounts(
        output=table.output,
        severity=severity,
        column=as_label(table.columns[place]),
        rows=len(small),
        smallest=min(small),
        minimum=rules.minimum_group,
    )


def _filled(table: Table, accepted: Callable[[Cell], bool]) -> list[int]:
    """The columns in which something stands, and nothing but what is `accepted`."""
    return [
        place
        for place in range(len(table.columns))
        if (cells := [cell for cell in table.column(place) if plain(cell) is not None]) and all(map(accepted, cells))
    ]


def _is_named_count(name: str) -> bool:
    folded = fold(name)
    if _COUNT.fullmatch(folded) or folded in _SIZES:
        return True
    return bool(_COUNT_WORD.search(folded)) and not _NO_COUNT.search(folded)


def _is_grid(table: Table, places: list[int]) -> bool:
    """At least two columns and rows of whole numbers, with at most two others beside them."""
    return len(places) > 1 and len(table.rows) > 1 and len(table.columns) - len(places) <= 2


def _whole(table: Table, place: int) -> list[int]:
    return [int(value) for cell in table.column(place) if isinstance(value := plain(cell), float)]
