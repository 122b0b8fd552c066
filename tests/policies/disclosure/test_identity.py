"""Identifiers: known by their looks, and found in the middle of text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.disclosure.cells import decimals, plain, tolerance
from policies.disclosure.identity import identifying, possible_names


def column(values) -> np.ndarray:
    return np.array([plain(value) for value in values], dtype=object)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([f"pat-{number}" for number in range(50)], True),
        (range(100_000, 100_050), True),
        (range(50), False),
        ([f"{number}" for number in range(50)], False),
        ([number + 0.5 for number in range(100_000, 100_050)], False),
        (["ward-1", "ward-2"] * 25, False),
        (["abcd"] * 3, False),
        ([None] * 50, False),
    ],
)
def test_nearly_distinct_long_values_name_records(values, names):
    assert identifying(column(values)) is names


@given(st.sampled_from(["", "(", "'", "id=", "a:", "<b>"]), st.sampled_from(["", ")", "'", ".", "!", ",x", "</b>"]))
def test_a_name_is_found_between_any_marks(before, after):
    for name in ("pat-00017", "1234567", "anna.berg@clinic.example"):
        assert plain(name) in possible_names([f"seen {before}{name}{after} today"])


def test_names_of_several_words_and_parts_of_words_are_found():
    assert "anna maria berg" in possible_names(["patient Anna  Maria Berg, 54"])
    assert "pat00017" in possible_names(["file_pat00017_x"])
    assert plain("1234567") in possible_names(["1234567.0"])
    assert not possible_names(["abc"])
    assert plain("12345") not in possible_names(["the 12345 a b"])


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (" 54.0 ", 54.0),
        ("５４", 54.0),
        ("1e3", 1000.0),
        (3, 3.0),
        ("1_000", "1_000"),
        ("ADA", "ada"),
        ("ﬁ", "fi"),
        (True, "true"),
        ("2024-01-01 00:00:00", "2024-01-01"),
        ("", None),
        ("NaN", None),
        (float("inf"), None),
        (None, None),
    ],
)
def test_a_cell_has_one_spelling(cell, value):
    assert plain(cell) == value


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_what_rounds_to_a_number_is_within_its_tolerance(number, places):
    rounded = round(number, places)
    assert abs(rounded - number) <= tolerance(rounded) * (1 + 1e-6) or decimals(rounded) < places
