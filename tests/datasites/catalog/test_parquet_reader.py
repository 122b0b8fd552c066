"""Parquet tables: read as strictly as CSV, decoded where a bad file does no harm, frozen to the same bytes as CSV."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from datasites.catalog import parquet_reader
from datasites.catalog.parquet_decoder import _decode_safely
from datasites.catalog.table_checks import rows_a_batch
from policies.errors import InvalidInputError
from policies.manifest import parse_manifest
from tests.unit_arrays import freeze, read_table

GOOD = {
    "patient": ["p1", "p2", "p1"],
    "age": [40, 41, 42],
    "pressure": [120.5, 60.0, 220.0],
    "blood": ["A", "AB", "0"],
    "ill": ["yes", "no", "no"],
}


@pytest.fixture
def write(tmp_path):
    """Write a Parquet file of these columns."""

    def write(**changes):
        path = tmp_path / "table.parquet"
        parquet.write_table(pa.table({**GOOD, **changes}), path)
        return path

    return write


def refusal(path: Path, manifest) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_table(path, manifest)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_reads_what_csv_reads(manifest, write, write_table):
    rows = [",".join(map(str, row)) for row in zip(*GOOD.values(), strict=True)]
    from_csv = read_table(write_table(rows), manifest)
    from_parquet = read_table(
        write(age=pa.array([40, 41, 42], pa.int8()), blood=pa.array(GOOD["blood"], pa.large_string())), manifest
    )
    assert from_parquet.units.tolist() == from_csv.units.tolist() == GOOD["patient"]
    for name, values in from_csv.values.items():
        assert from_parquet.values[name].tolist() == values.tolist()
        assert from_parquet.values[name].dtype == values.dtype


def test_whole_numbers_that_name_units_keep_every_digit(manifest, write):
    near = [2**62, 2**62 + 1, -7]
    assert read_table(write(patient=near), manifest).units.tolist() == [str(number) for number in near]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"age": [40, None, 17]}, ["row 2: column 'age' is empty", "row 3: column 'age' is outside the"]),
        ({"age": [40, 40.5, 41]}, ["row 2: column 'age' is not a whole number"]),
        ({"pressure": [120.0, float("nan"), float("inf")]}, ["row 2: column 'pressure'", "row 3: column 'pressure'"]),
        ({"blood": ["A", None, "Q"]}, ["row 2: column 'blood' is empty", "row 3: column 'blood' is not one of"]),
        ({"patient": ["p1", None, "p\u200b"]}, ["row 2: the privacy unit", "row 3: the privacy unit"]),
        ({"salary": [1, 2, 3]}, ["column 6 of the header is not in the manifest"]),
        ({"age": ["40", "41", "42"]}, ["'age' is text and declared as a number"]),
        ({"patient": [1.0, 2.0, 3.0]}, ["'patient' is floating-point"]),
        ({"blood": pa.array(GOOD["blood"]).dictionary_encode()}, ["'blood' is dictionary-typed"]),
        ({"age": [[40], [41], [42]]}, ["'age' is nested"]),
        ({"age": [{"a": 1}] * 3}, ["'age' is nested"]),
        ({"blood": [b"A", b"AB", b"0"]}, ["'blood' is neither"]),
        ({"age": pa.array([40, 41, 42], pa.timestamp("s"))}, ["'age' is neither"]),
        ({"blood": pa.array([b"0" * 16] * 3, pa.uuid())}, ["'blood' has an extension type"]),
    ],
)  # fmt: skip
def test_names_row_column_and_remedy_and_never_a_value(manifest, write, changes, said):
    message = refusal(write(**changes), manifest)
    assert all(part in message for part in said), message
    assert "salary" not in message


def test_a_table_without_rows_is_refused(manifest, tmp_path):
    parquet.write_table(pa.table(GOOD).slice(0, 0), tmp_path / "none.parquet")
    assert "no rows" in refusal(tmp_path / "none.parquet", manifest)


def test_text_that_is_not_utf_8_is_refused(manifest, write):
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"A", b"\xff", b"0"]).buffers())
    assert "damaged" in refusal(write(blood=broken), manifest)


def test_numbers_rows_across_batches_and_row_groups(manifest, tmp_path):
    many = rows_a_batch(manifest) + 7
    table = pa.table({name: (values * many)[:many] for name, values in GOOD.items()})
    ages = [40] * many
    ages[-2] = 200
    path = tmp_path / "many.parquet"
    parquet.write_table(table.set_column(1, "age", pa.array(ages)), path, row_group_size=1000)
    assert f"row {many - 1}: column 'age'" in refusal(path, manifest)


def test_a_file_that_expands_beyond_the_limit_is_refused_and_not_decoded(manifest, tmp_path):
    """A few kilobytes that stand for 3 GB: one long text in a dictionary, and many rows that name it."""
    path = tmp_path / "bomb.parquet"
    blood = pa.DictionaryArray.from_arrays(np.zeros(30_000, np.int32), pa.array(["A" * 100_000]))
    columns = {"patient": ["p"] * 30_000, "age": [40] * 30_000, "pressure": [100.0] * 30_000, "ill": ["no"] * 30_000}
    parquet.write_table(pa.table({**columns, "blood": blood}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2**20
    assert "GiB of memory" in refusal(path, manifest)


def test_a_decoder_that_dies_is_an_error_of_the_file(manifest, write, monkeypatch):
    monkeypatch.setattr(parquet_reader, "_START", "import os; os.abort()")
    assert "damaged" in refusal(write(), manifest)


def encoded(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


CONTENT = encoded(pa.table(GOOD))


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(4, len(CONTENT) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_the_decoder_ends_with_an_answer_whatever_bytes_are_flipped(flips):
    damaged = bytearray(CONTENT)
    for place, change in flips:
        damaged[place] ^= change
    assert _decode_safely(io.BytesIO(damaged), lambda message, body=b"": message.canonical(), 2).end is not None


@settings(max_examples=3, deadline=None)
@given(place=st.integers(4, len(CONTENT) - 1), change=st.integers(1, 255), cut=st.integers(4, len(CONTENT)))
def test_any_damaged_file_is_read_or_refused(tmp_path_factory, manifest, place, change, cut):
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    path.write_bytes(damaged[:cut])
    try:
        assert len(read_table(path, manifest).units) > 0
    except InvalidInputError:
        return


def test_real_patients_freeze_to_the_same_bytes_from_csv_and_parquet(keys, tmp_path):
    data = load_breast_cancer()
    names = [str(name) for name in data.feature_names]
    bounds = [(float(low), float(high)) for low, high in zip(data.data.min(0) - 1, data.data.max(0) + 1, strict=True)]
    columns = "".join(
        f'[[columns]]\nname = "{name}"\ntype = "number"\nminimum = {low!r}\nmaximum = {high!r}\n'
        for name, (low, high) in zip(names, bounds, strict=True)
    )
    manifest = parse_manifest(
        f'name = "tumours"\ntitle = "T"\ndescription = "T."\ntarget = "diagnosis"\n[privacy_unit]\ncolumn = "patient"\n'
        f"maximum_records = 2\nnominal_units = 250\n[holdout]\nfraction = 0.2\n{columns}"
        '[[columns]]\nname = "diagnosis"\ntype = "category"\ncategories = ["malignant", "benign"]\n'.encode()
    )
    table = {"patient": [f"patient {number % 231}" for number in range(len(data.data))]}
    table |= {name: data.data[:, place].tolist() for place, name in enumerate(names)}
    table["diagnosis"] = ["malignant" if target == 0 else "benign" for target in data.target]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([table.keys(), *zip(*table.values(), strict=True)])
    parquet.write_table(pa.table(table), tmp_path / "t.parquet", row_group_size=100)
    from_csv = freeze(tmp_path / "t.csv", manifest, keys, tmp_path / "a")
    from_parquet = freeze(tmp_path / "t.parquet", manifest, keys, tmp_path / "b")
    assert from_csv[0] == from_parquet[0]
    assert from_csv[1].read_bytes() == from_parquet[1].read_bytes()


FREEZE = """
import resource, sys
from pathlib import Path
from datasites.catalog.keys import derive_catalog_keys
from policies.manifest import parse_manifest
from tests.unit_arrays import freeze
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder = Path(sys.argv[1])
manifest = parse_manifest((folder / "m.toml").read_bytes())
_, path = freeze(folder / "t.parquet", manifest, derive_catalog_keys(bytes(32)), folder / "frozen")
decoder = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(path.stat().st_size >> 20, grown >> 10, decoder >> 10)
"""


def test_registering_needs_far_less_memory_than_the_arrays_have(tmp_path):
    """One row group of 20 000 rows whose categories unfold to 500 MB of arrays."""
    rows, wide = 20_000, 6
    categories = ", ".join(f'"{number}"' for number in range(1000))
    columns = "".join(
        f'[[columns]]\nname = "c{place}"\ntype = "category"\ncategories = [{categories}]\n' for place in range(wide)
    )
    (tmp_path / "m.toml").write_text(
        'name = "wide"\ntitle = "W"\ndescription = "W."\ntarget = "t"\n[privacy_unit]\ncolumn = "p"\n'
        f"maximum_records = 1\nnominal_units = {rows}\n[holdout]\nfraction = 0.1\n{columns}"
        '[[columns]]\nname = "t"\ntype = "number"\nminimum = 0.0\nmaximum = 1.0\n'
    )
    codes = np.random.default_rng(1).integers(0, 1000, (wide, rows))
    table = {"p": [f"p{row}" for row in range(rows)], **{f"c{place}": codes[place] for place in range(wide)}}
    parquet.write_table(pa.table({**table, "t": np.linspace(0, 1, rows)}), tmp_path / "t.parquet", row_group_size=rows)
    done = subprocess.run(
        [sys.executable, "-c", FREEZE, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    size, grown, decoder = map(int, done.stdout.split())
    assert size > 400
    assert grown < 200
    assert decoder < 300
