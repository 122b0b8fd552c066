"""Mock data: what the reader accepts, spread over the whole declaration, and a function of the manifest alone."""

import numpy as np
import pytest

from datasites.catalog.mock import draw_mock
from policies.manifest import parse_manifest, parse_published_manifest
from tests.unit_arrays import read_table


def read_mock(manifest, tmp_path, rows):
    path = tmp_path / "mock.csv"
    path.write_bytes(draw_mock(manifest, rows))
    return read_table(path, manifest)


def test_reads_like_the_real_table(manifest, tmp_path):
    table = read_mock(manifest, tmp_path, 3000)
    assert len(table.units) == 3000
    assert all(unit.startswith("mock-") for unit in table.units.tolist())
    assert set(np.unique(table.units, return_counts=True)[1].tolist()) == {1, 2, 3}
    assert set(table.values["age"].tolist()) == set(range(18, 99))
    assert set(table.values["blood"].tolist()) == {0, 1, 2, 3}
    assert table.values["pressure"].min() < 62
    assert table.values["pressure"].max() > 218


def test_anybody_with_the_manifest_draws_the_same(manifest, clinic_toml):
    assert draw_mock(parse_published_manifest(manifest.canonical())) == draw_mock(manifest)
    renamed = parse_manifest(clinic_toml.replace("clinic-a", "clinic-b").encode())
    assert draw_mock(renamed) != draw_mock(manifest)


@pytest.mark.parametrize(
    ("minimum", "maximum"),
    [("0.1234567", "0.1234568"), ("-1e15", "1e15"), ("999999999999999.0", "1e15"), ("-1e-300", "0"), ("0", "5e-324")],
)
def test_stays_within_awkward_bounds(clinic_toml, tmp_path, minimum, maximum):
    text = clinic_toml.replace("minimum = 60.0", f"minimum = {minimum}").replace(
        "maximum = 220.0", f"maximum = {maximum}"
    )
    assert len(read_mock(parse_manifest(text.encode()), tmp_path, 100).units) == 100


def test_quotes_names_and_categories(clinic_toml, tmp_path):
    text = clinic_toml.replace('"AB"', "'A,\"B\"'").replace('name = "age"', 'name = "age, years"')
    assert len(read_mock(parse_manifest(text.encode()), tmp_path, 50).units) == 50


@pytest.mark.parametrize("rows", [0, -1, 100_001])
def test_refuses_other_numbers_of_rows(manifest, rows):
    with pytest.raises(ValueError, match="rows"):
        draw_mock(manifest, rows)
