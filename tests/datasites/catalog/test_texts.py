"""Texts: what CSV, Parquet and the snapshot hold are the same bytes, and what cannot be kept is refused unquoted."""

import csv
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from datasites.catalog.mock import draw_mock
from datasites.catalog.table_checks import rows_a_batch
from datasites.training.unit_file import open_units
from policies.errors import InvalidInputError
from policies.manifest import parse_manifest
from tests.everything_said import everything_said
from tests.unit_arrays import freeze, read_snapshot, read_table

LETTERS = """
name = "letters"
title = "Discharge letters"
description = "One row a letter."
target = "returned"
[privacy_unit]
column = "patient"
maximum_records = 2
nominal_units = 100
[holdout]
fraction = 0.25
[[columns]]
name = "letter"
type = "text"
maximum_bytes = 40
[[columns]]
name = "returned"
type = "category"
categories = ["no", "yes"]
"""
MANIFEST = parse_manifest(LETTERS.encode())
TEXTS = ("Fièvre depuis\ntrois jours, 39°", "咳嗽三天", 'He said "no".', "x", "é" * 20)


def write_csv(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("patient", "letter", "returned"), *rows])
    return path


def write_parquet(path: Path, rows: list[tuple[str | None, ...]]) -> Path:
    patients, letters, returned = zip(*rows, strict=True)
    parquet.write_table(
        pa.table({"patient": patients, "letter": pa.array(letters, pa.string()), "returned": returned}), path
    )
    return path


@pytest.fixture
def rows() -> list[tuple[str, str, str]]:
    """Three letters of each of 100 patients."""
    return [
        (f"p{patient:03}", TEXTS[(patient + visit) % 5], ("no", "yes")[patient % 2])
        for visit in range(3)
        for patient in range(100)
    ]


def test_the_snapshot_keeps_the_utf_8_bytes_of_each_unit_s_records(rows, keys, tmp_path):
    commitments = {
        freeze(write(tmp_path / "letters", rows), MANIFEST, keys, tmp_path / "frozen")[0]
        for write in (write_csv, write_parquet)
    }
    assert len(commitments) == 1
    snapshot = read_snapshot(tmp_path / "frozen" / f"{commitments.pop()}.snapshot")
    assert (snapshot.layout.features, snapshot.layout.shape) == ("text", (40,))
    training = snapshot.training
    assert training.features.shape == (len(training.mask), 2, 40)
    assert training.mask.all()
    held = [bytes(text).rstrip(b"\0").decode() for text in training.features.reshape(-1, 40)]
    assert set(held) == set(TEXTS)
    for first, second in zip(held[::2], held[1::2], strict=True):
        assert TEXTS.index(second) == (TEXTS.index(first) + 1) % 5


def test_the_trainer_reads_the_bytes_as_they_are_kept(rows, keys, tmp_path):
    _, path = freeze(write_csv(tmp_path / "letters.csv", rows), MANIFEST, keys, tmp_path / "frozen")
    held = read_snapshot(path).holdout
    with path.open("rb") as file:
        training, holdout = open_units(os.dup(file.fileno()))
        chunk = holdout.chunk(torch.tensor([1, 0]), 3)
    assert len(training) + len(holdout) == 100
    assert chunk.features.dtype == torch.uint8
    assert torch.equal(chunk.features[:2], torch.from_numpy(held.features[[1, 0]]))
    assert not chunk.features[2].any()
    assert not chunk.mask[2].any()


@pytest.mark.parametrize(
    ("letter", "said"),
    [
        ("5ecret7\0", "holds a character NUL"),
        ("5ecret7" * 6, "takes more than the declared 40 bytes"),
        ("5ecret7" + "é" * 17, "takes more than the declared 40 bytes"),
        (" \n ", "is empty"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_what_cannot_be_kept_is_refused_by_row_and_never_quoted(write, letter, said, tmp_path):
    path = write(tmp_path / "letters", [("p1", "fine", "no"), ("p2", letter, "no")])
    with pytest.raises(InvalidInputError) as caught:
        read_table(path, MANIFEST)
    message = everything_said(caught.value)
    assert f"row {3 if write is write_csv else 2}: column 'letter' {said}" in message
    assert "5ecret7" not in message


def test_null_and_what_is_not_utf_8_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="row 1: column 'letter' is empty"):
        read_table(write_parquet(tmp_path / "null", [("p1", None, "no")]), MANIFEST)
    (tmp_path / "latin.csv").write_bytes("patient,letter,returned\np1,fièvre,no\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_table(tmp_path / "latin.csv", MANIFEST)
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff5ecret7"]).buffers())
    parquet.write_table(pa.table({"patient": ["p"], "letter": broken, "returned": ["no"]}), tmp_path / "broken")
    with pytest.raises(InvalidInputError, match="damaged") as caught:
        read_table(tmp_path / "broken", MANIFEST)
    assert "5ecret7" not in everything_said(caught.value)


def test_long_texts_are_read_in_batches_of_bounded_size(tmp_path):
    long = parse_manifest(LETTERS.replace("maximum_bytes = 40", "maximum_bytes = 65536").encode())
    assert rows_a_batch(long) * 65_536 <= 2**23
    rows = [(f"p{number}", chr(97 + number % 26) * 65_000, "no") for number in range(300)]
    for write in (write_csv, write_parquet):
        read = read_table(write(tmp_path / "long", rows), long).values["letter"]
        assert read.shape == (300, 65_536)
        assert [chr(text[64_999]) + str(text[65_000]) for text in read] == [f"{row[1][0]}0" for row in rows]


def test_mock_letters_are_such_as_the_reader_takes(tmp_path):
    (tmp_path / "mock.csv").write_bytes(draw_mock(MANIFEST))
    sizes = (read_table(tmp_path / "mock.csv", MANIFEST).values["letter"] != 0).sum(1)
    assert sizes.min() < 5 < 35 < sizes.max()
    assert np.unique(sizes).size > 20
