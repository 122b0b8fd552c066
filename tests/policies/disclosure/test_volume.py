"""How much an output holds: long text and long numbers count for more, and no split hides it."""

from hypothesis import given
from hypothesis import strategies as st

from policies.disclosure.cells import Table
from policies.disclosure.files import check_files
from policies.disclosure.rules import DisclosureRules
from policies.disclosure.volume import (
    CHARACTERS_A_VALUE,
    cell_values,
    check_runs,
    check_tensors,
    check_values,
    table_values,
    text_values,
)

RULES = DisclosureRules()


def test_a_cell_counts_by_what_it_could_carry():
    assert [cell_values(cell) for cell in (None, "", 0, 1.5, True, "a", "a" * 24, "a" * 25)] == [0, 0, 1, 1, 1, 1, 1, 2]
    assert cell_values(10**100) >= 4
    assert table_values(Table("a", ("x", ""), ((1, None), ("a" * 100, 2)))) == 8


@given(st.text(), st.integers(1, 50))
def test_cutting_text_into_lines_makes_it_no_less(text, length):
    cut = "\n".join(text[first : first + length] for first in range(0, len(text), length))
    assert text_values(cut) >= len(text) // CHARACTERS_A_VALUE
    assert text_values("1 2 3.5") == 3


def test_fewer_values_than_records():
    assert not check_values(99, 100, RULES)
    assert check_values(100, 100, RULES)
    assert check_values(10_001, 10**6, RULES)
    assert not check_values(10_000, 0, RULES), "of data that is no table"
    assert check_values(50, 100, DisclosureRules(values_per_record=0.5))


def test_tensors_are_held_against_the_datas_cells():
    assert not check_tensors(100, 1000, RULES)
    assert check_tensors(101, 1000, RULES)
    assert check_tensors(1, 0, RULES)
    assert not check_tensors(0, 0, RULES)


def test_long_runs_are_told_and_rulers_are_not():
    assert not check_runs("a", ["word " * 100, "-" * 500, "=" * 500, "━" * 200], RULES)
    assert not check_runs("a", ["x" * 100], RULES)
    (finding,) = check_runs("a", ["x" * 101, "ab" * 300], RULES)
    assert finding.longest == 600


def test_files_are_declared_whole_and_small():
    sizes = {"a.csv": 60_000_000, "stdout.txt": 50_000_000}
    found = check_files(sizes, ["a.csv"], ["2 links", "1 device"], RULES)
    assert [finding.check for finding in found] == ["undeclared", "left-out", "left-out", "too-large"]
    assert not check_files({"a.csv": 100_000_000}, ["a.csv"], [], RULES)
