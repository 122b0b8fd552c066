"""Populations: the same people never get a second budget, under whatever name, split or spelling they come back."""

import pytest

from datasites.catalog.fingerprints import is_holdout, unit_fingerprint
from datasites.catalog.keys import derive_catalog_keys
from datasites.catalog.population import population_to_join
from datasites.catalog.table import open_table
from datasites.catalog.unit_index import UnitIndex
from policies.errors import RefusedError

WARD, LAB = {"ward": 0.25}, {"lab": 0.25}


def test_new_people_are_a_new_population():
    assert population_to_join({}, 0.25) is None
    assert population_to_join({}, 0.5) is None


def test_people_who_are_known_join_what_they_have():
    assert population_to_join(WARD, 0.25) == "ward"


def test_people_of_two_populations_are_refused():
    with pytest.raises(RefusedError, match="2 populations"):
        population_to_join(WARD | LAB, 0.25)


def test_another_split_of_known_people_is_refused():
    with pytest.raises(RefusedError, match=r"set holdout.fraction to 0.25"):
        population_to_join(WARD, 0.2)


def test_the_same_people_reordered_or_respelled_have_the_same_fingerprints(manifest, keys, write_table, tmp_path):
    def marks(rows):
        others = [f"p{number},40,120,A,yes" for number in range(700)]
        with open_table(write_table(rows + others)) as table, UnitIndex(table, many, keys, tmp_path) as index:
            return [mark for some in index.fingerprints() for mark in some]

    many = manifest.model_copy(update={"privacy_unit": manifest.privacy_unit.model_copy(update={"nominal_units": 700})})
    first = marks(["Ren\u00e9,40,120,A,yes", "Zo\u00eb,41,121,B,no"])
    again = marks(["  Zoe\u0308 ,20,61,0,yes", "Rene\u0301,21,62,AB,no", "Rene\u0301,22,63,AB,no"])
    names = ["Ren\u00e9", "Zo\u00eb", *(f"p{number}" for number in range(700))]
    assert first == again == sorted(unit_fingerprint(name, keys.fingerprint) for name in names)


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
