"""Populations: the same people never get a second budget, under whatever name, split or spelling they come back."""

import pytest

from datasites.catalog.csv_reader import read_table
from datasites.catalog.fingerprints import is_holdout, unit_fingerprint, unit_fingerprints
from datasites.catalog.keys import derive_catalog_keys
from datasites.catalog.population import ExistingPopulation, population_to_join
from policies.errors import RefusedError

WARD = ExistingPopulation("ward", 0.25, frozenset({"a", "b"}))
LAB = ExistingPopulation("lab", 0.25, frozenset({"c"}))


def test_new_people_are_a_new_population():
    assert population_to_join(["x", "y"], 0.25, [WARD, LAB]) is None
    assert population_to_join(["x"], 0.25, []) is None


@pytest.mark.parametrize("units", [["a"], ["a", "b"], ["x", "b", "y"]])
def test_one_known_person_is_enough_to_join(units):
    assert population_to_join(iter(units), 0.25, [WARD, LAB]) == "ward"


def test_people_of_two_populations_are_refused():
    with pytest.raises(RefusedError, match="2 populations"):
        population_to_join(["a", "c"], 0.25, [WARD, LAB])


def test_another_split_of_known_people_is_refused():
    with pytest.raises(RefusedError, match=r"set holdout.fraction to 0.25"):
        population_to_join(["a", "x"], 0.2, [WARD, LAB])


def test_another_split_of_new_people_is_free():
    assert population_to_join(["x"], 0.5, [WARD, LAB]) is None


def test_the_same_table_renamed_reordered_or_respelled_has_the_same_fingerprints(manifest, keys, write_table):
    rows = ["Ren\u00e9,40,120,A,yes", "Zo\u00eb,41,121,B,no"]
    again = ["  Zoe\u0308 ,20,61,0,yes", "Rene\u0301,21,62,AB,no", "Rene\u0301,22,63,AB,no"]
    first = unit_fingerprints(read_table(write_table(rows), manifest), keys.fingerprint)
    second = unit_fingerprints(read_table(write_table(again), manifest), keys.fingerprint)
    assert first == second == sorted(first)
    assert len(first) == 2


def test_fingerprints_cannot_be_tested_without_the_key(keys):
    other = derive_catalog_keys(b"\x07" * 32)
    assert unit_fingerprint("p1", keys.fingerprint) != unit_fingerprint("p1", other.fingerprint)
    assert unit_fingerprint("p1", keys.fingerprint) != unit_fingerprint("p1", keys.split)


def test_the_split_has_the_declared_share(keys):
    held = sum(is_holdout(f"p{number}", keys.split, 0.25) for number in range(8000))
    assert abs(held - 2000) < 5 * (8000 * 0.25 * 0.75) ** 0.5


def test_a_larger_fraction_only_adds_units(keys):
    units = [f"p{number}" for number in range(500)]
    sides = [{unit for unit in units if is_holdout(unit, keys.split, share)} for share in (0, 0.1, 0.3, 0.5)]
    assert sides[0] == set()
    assert sides[1] < sides[2] < sides[3]


def test_a_population_shows_no_fingerprint():
    assert repr(WARD) == "ExistingPopulation('ward')"
