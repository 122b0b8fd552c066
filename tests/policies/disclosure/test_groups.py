"""Rules on groups: which columns are keys, who is too few, who dominates; and that more people never make it worse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.disclosure.cells import INDEX, VALUE, Table
from policies.disclosure.counts import check_counts
from policies.disclosure.groups import Sums, check_combinations, check_dominance, check_groups, shared_columns
from policies.disclosure.rules import DisclosureRules

RULES = DisclosureRules()
PRIVATE = ("age", "sex", "Region ", "income")


def table(columns, *rows) -> Table:
    return Table("a.csv", tuple(columns), tuple(map(tuple, rows)))


@pytest.mark.parametrize(
    ("columns", "rows", "keys"),
    [
        (("sex", "age"), [("f", 54.5), ("m", 55.2)], 1),
        (("SEX", "region", "n"), [("f", "a", 1), ("f", "b", 2)], 2),
        (("", "sex", "n"), [(0, "f", 1), (1, "m", 2)], 1),
        (("", "age", "n"), [("mean", 54, 1), ("std", 55, 2)], 0),  # a summary's rows are no groups
        (("age", "n"), [(54, 1), (55, 2)], 1),
        (("age", "n"), [(54.5, 1), (55, 2)], 0),  # nobody groups by fractions
        ((INDEX, "age"), [("0", 54), ("1", 55)], 0),
        ((INDEX, "sex"), [("0", "f"), ("1", "m")], 1),
        (("sex", "age"), [("f", 54), ("f", 54)], 0),
        (("sex", "age"), [("f", 54)], 0),
        (("model", "age"), [("a", 54), ("b", 55)], 0),
    ],
)
def test_keys_are_the_fewest_leading_columns_that_tell_rows_apart(columns, rows, keys):
    assert shared_columns(table(columns, *rows), PRIVATE).keys == keys


def test_shared_columns_are_found_whatever_their_case_and_spaces():
    shared = shared_columns(table(("x", " Sex", "region"), ("a", "f", "b")), PRIVATE)
    assert (shared.places, shared.private) == ((1, 2), ("sex", "Region "))


GROUPS = table(("sex", "income"), ("f", 100.0), ("m", 200.0), ("x", 0.0))


def test_a_group_below_the_minimum_is_found_and_none_is_none():
    (finding,) = check_groups(GROUPS, ("sex",), np.array([9, 10, 0]), RULES)
    assert (finding.rows, finding.smallest) == (1, 9)
    assert not check_groups(GROUPS, ("sex",), np.array([10, 11, 0]), RULES)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.data())
def test_one_more_person_in_a_clean_tables_group_keeps_it_clean(sizes, data):
    rows = [(str(number), size) for number, size in enumerate(sizes)]
    group = data.draw(st.sampled_from([place for place, size in enumerate(sizes) if size] or [0]))
    grown = [(label, size + (place == group)) for place, (label, size) in enumerate(rows)]
    before, after = (table(("group", "n"), *it) for it in (rows, grown))
    totals = {sum(sizes), sum(sizes) + 1}
    if sizes[group] and not check_counts(before, (), totals, RULES):
        assert not check_counts(after, (), totals, RULES)
    counts = np.array(sizes)
    if sizes[group] and not check_groups(before, ("group",), counts, RULES):
        counts[group] += 1
        assert not check_groups(after, ("group",), counts, RULES)


@given(st.lists(st.floats(0, 1e6), min_size=10, max_size=40), st.floats(0, 1))
def test_a_person_who_adds_less_than_others_never_makes_one_dominate(values, part):
    def found(amounts: list[float]) -> bool:
        total = np.array([sum(amounts)])
        sums = Sums("income", np.array([len(amounts)]), total, total, np.array([max(amounts)]))
        return bool(check_dominance(table(("sex", "income"), ("f", float(total[0]))), [sums], RULES))

    if not found(values):
        assert not found([*values, part * max(values)])


def test_dominance_is_told_only_where_the_total_or_mean_is():
    sums = Sums(
        "income", np.array([20, 20, 5]), *map(np.array, ([1000.0, 4000.0, 9.0],) * 2), np.array([600.0, 400.0, 9.0])
    )
    for cell, found in ((1000.0, True), (50.0, True), (49.6, False), (50, True), (1000.4, False), (None, False)):
        rows = (("f", cell), ("m", 200.0), ("x", 9.0))
        assert bool(check_dominance(table(("sex", "mean income"), *rows), [sums], RULES)) is found
        assert not check_dominance(table(("sex", "age"), *rows), [sums], RULES), "of another column"
    two = DisclosureRules(dominant_contributors=2, dominant_share=0.85)
    assert not check_dominance(table(("sex", VALUE), ("f", 1000.0), ("m", 1.0), ("x", 9.0)), [sums], two)


def test_rare_combinations_need_two_rows_or_three_columns():
    columns, rows = ("age", "sex", "income"), (("1", "f", 2), ("3", "m", 4))
    for counts, names, of, found in (
        ([1, 9], columns[:2], rows, True),
        ([1, 10], columns, rows, False),
        ([1], columns, rows[:1], True),
        ([1], columns[:2], rows[:1], False),
        ([0], columns, rows[:1], False),
        ([10], columns, rows[:1], False),
    ):
        assert bool(check_combinations(table(columns, *of), names, np.array(counts), RULES)) is found


@pytest.mark.parametrize(
    ("columns", "rows", "severities"),
    [
        (("g", "n"), [("a", 3), ("b", 20)], ["hold"]),
        (("g", "n"), [("a", 0), ("b", 20)], []),
        (("g", "support"), [("a", 3.0)], ["hold"]),
        (("g", "patient_count"), [("a", "3")], ["hold"]),
        (("g", "n_patients"), [("a", 3)], ["hold"]),
        (("g", "n_iterations"), [("a", 3)], []),
        (("g", "count_mean"), [("a", 3)], []),
        (("batch_size", "epochs"), [(8, 3)], []),
        (("g", "x"), [("a", 3), ("b", 97)], ["hold"]),  # they add up to all records
        (("g", "x"), [("a", 3), ("b", 98)], []),
        (("g", "x", "y"), [("a", 3, 40), ("b", 50, 60)], ["note"]),
        (("g", "x", "y"), [("a", 3, 40), ("b", 50, 7)], ["hold", "hold"]),
        (("", ""), [(50, 3), (2, 88)], ["note", "note"]),
        (("g", "x", "y"), [("a", 0, 1), ("b", 1, 1)], []),  # flags
        (("g", "x", "age"), [("a", 30, 4), ("b", 50, 5)], []),  # values of a private column
        ((INDEX, VALUE), [("1", 30), ("2", 40)], []),
    ],
)
def test_counts_are_known_by_name_or_sum(columns, rows, severities):
    found = check_counts(table(columns, *rows), PRIVATE, {100}, RULES)
    assert [finding.severity for finding in found] == severities
