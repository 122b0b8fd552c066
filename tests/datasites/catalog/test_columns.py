"""Levels, empty cells by a declared rule, several targets: the arrays are those of the declaration, in any format."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from datasites.catalog.mock import draw_mock
from datasites.training.unit_file import open_units
from policies.errors import InvalidInputError
from policies.manifest import parse_manifest
from policies.record_form import TensorForm
from tests.everything_said import everything_said
from tests.unit_arrays import freeze, read_snapshot, read_table

VISITS = """
name = "visits"
title = "Visits"
description = "One row a visit."
target = ["days", "outcome"]
[privacy_unit]
column = "patient"
maximum_records = 1
nominal_units = 100
[holdout]
fraction = 0
[[columns]]
name = "pain"
type = "ordinal"
levels = ["none", "mild", "strong"]
missing = { value = "none", indicator = true }
[[columns]]
name = "weight"
type = "number"
minimum = 40.0
maximum = 120.0
missing = { value = 80.0, indicator = true }
[[columns]]
name = "days"
type = "integer"
minimum = 0
maximum = 20
[[columns]]
name = "smoker"
type = "category"
categories = ["no", "yes", "unknown"]
missing = { value = "unknown", indicator = false }
[[columns]]
name = "children"
type = "integer"
minimum = 0
maximum = 10
missing = { value = 2, indicator = true }
[[columns]]
name = "outcome"
type = "category"
categories = ["home", "ward", "died"]
"""
MANIFEST = parse_manifest(VISITS.encode())
HEADER = ("patient", "pain", "weight", "days", "smoker", "children", "outcome")
ROWS = [
    ("strong", 120.0, 0, "yes", 10, "home"),
    (None, 60.0, 10, "no", 0, "ward"),
    ("mild", None, 20, None, None, "died"),
    (None, None, 5, None, None, "home"),
]
FEATURES = [
    # pain, its indicator; weight, its; smoker no, yes, unknown; children, its
    [1, 0, 1, 0, 0, 1, 0, 1, 0],
    [-1, 1, -0.5, 0, 1, 0, 0, -1, 0],
    [0, 0, 0, 1, 0, 0, 1, -0.6, 1],
    [-1, 1, 0, 1, 0, 0, 1, -0.6, 1],
]
TARGETS = [[-1, 0], [0, 1], [1, 2], [-0.5, 0]]


def write_csv(path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows((f"p{number:03}", *ROWS[number % 4]) for number in range(100))
    return path


def write_parquet(path: Path) -> Path:
    rows = [(f"p{number:03}", *ROWS[number % 4]) for number in range(100)]
    pd.DataFrame(rows, columns=HEADER).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_the_snapshot_holds_what_was_declared(write, keys, tmp_path):
    _, path = freeze(write(tmp_path / "visits"), MANIFEST, keys, tmp_path / "frozen")
    training = read_snapshot(path).training
    assert training.features.shape == (100, 1, *MANIFEST.feature_shape)
    assert training.target.shape == (100, 1, 2)
    found = {tuple(np.round([*x, *y], 6)) for x, y in zip(training.features[:, 0], training.target[:, 0], strict=True)}
    expected = {tuple(np.round(np.float32([*x, *y]), 6)) for x, y in zip(FEATURES, TARGETS, strict=True)}
    assert found == expected
    assert MANIFEST.record_form().target == TensorForm(shape=(2,), dtype="float32", choices=(None, 3))


def test_the_trainer_reads_several_targets(keys, tmp_path):
    _, path = freeze(write_csv(tmp_path / "visits"), MANIFEST, keys, tmp_path / "frozen")
    with path.open("rb") as file:
        chunk = open_units(file.fileno())[0].chunk(torch.arange(3), 4)
    assert (chunk.features.shape, chunk.target.shape) == ((4, 1, 9), (4, 1, 2))
    assert chunk.target.dtype == torch.float32


def test_without_a_rule_an_empty_cell_is_refused(tmp_path):
    strict = VISITS
    for rule in [line for line in VISITS.splitlines() if line.startswith("missing")]:
        strict = strict.replace(rule, "")
    for write, first in ((write_csv, 3), (write_parquet, 2)):
        with pytest.raises(InvalidInputError, match=f"row {first}: column 'pain' is empty"):
            read_table(write(tmp_path / "visits"), parse_manifest(strict.encode()))


def test_a_rule_is_for_empty_cells_and_for_nothing_else(tmp_path):
    cells = {"pain": "5ecret", "weight": "n/a", "smoker": "NaN", "children": "-"}
    for name, cell in cells.items():
        row = dict(zip(HEADER, ("p1", *ROWS[0]), strict=True)) | {name: cell}
        path = tmp_path / "visits.csv"
        path.write_text(f"{','.join(HEADER)}\n{','.join(map(str, row.values()))}\n")
        with pytest.raises(InvalidInputError, match=f"row 2: column '{name}' is not") as caught:
            read_table(path, MANIFEST)
        assert "5ecret" not in everything_said(caught.value)


def test_nan_in_an_array_is_an_empty_cell(tmp_path):
    manifest = parse_manifest(VISITS.replace('["days", "outcome"]', '"outcome"').encode())
    arrays = {
        "patient": np.arange(2),
        "pain": np.array(["mild", "none"]),
        "weight": np.array([np.nan, 50.0]),
        "days": np.array([1, 2]),
        "smoker": np.array(["yes", ""]),
        "children": np.array([1.0, np.nan]),
        "outcome": np.array(["home", "died"]),
    }
    np.savez(tmp_path / "visits.npz", **arrays)
    table = read_table(tmp_path / "visits.npz", manifest)
    assert table.values["weight"].tolist() == [80, 50]
    assert table.values["smoker"].tolist() == [1, 2]
    assert table.values["children"].tolist() == [1, 2]
    assert [table.empty[name].tolist() for name in ("weight", "smoker", "children")] == [[1, 0], [0, 1], [0, 1]]


def test_mock_data_has_empty_cells_where_a_rule_is_declared(tmp_path):
    (tmp_path / "mock.csv").write_bytes(draw_mock(MANIFEST, 2000))
    table = read_table(tmp_path / "mock.csv", MANIFEST)
    assert set(table.empty) == {"pain", "weight", "smoker", "children"}
    assert all(100 < empty.sum() < 300 for empty in table.empty.values())
    assert set(table.values["pain"].tolist()) == {0, 1, 2}
