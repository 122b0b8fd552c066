"""The same records read from any format are the same columns; what cannot be read is said, not passed over."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from datasites.inspection import private_tables as module
from datasites.inspection.private_tables import private_tables
from policies.errors import InvalidInputError
from tests.one_inspection import checks, inspect, patients

FRAME = pd.DataFrame({"age": [41, 52, None, 63], "name": [" Ada ", "bob", None, "7"], "ill": [True, False, True, True]})
VALUES = {"age": [41.0, 52.0, None, 63.0], "name": ["ada", "bob", None, 7.0], "ill": ["true", "false", "true", "true"]}
WRITERS = {
    "a.csv": lambda path: FRAME.to_csv(path, index=False),
    "a.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "a.jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "a.json": lambda path: FRAME.to_json(path, orient="records"),
    "a.parquet": FRAME.to_parquet,
}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CELLS_A_CHUNK", 6)
    monkeypatch.setattr(module, "_LINES_A_CHUNK", 3)


def _columns(path):
    (table,) = private_tables(path)
    values = {}
    for _ in range(2):
        chunks = list(table.chunks())
        values = {name: [value for chunk in chunks for value in chunk[name].values()] for name in chunks[0]}
    return values


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_values(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert _columns(tmp_path / name) == VALUES


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_arrays_are_tables_without_names(tmp_path, name):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    if name == "a.npy":
        np.save(tmp_path / name, values)
    else:
        save_file({"x": values}, tmp_path / name)
    assert _columns(tmp_path / name) == {"0": [0, 3, 6, 9], "1": [1, 4, 7, 10], "2": [2, 5, 8, 11]}


@pytest.mark.usefixtures("small_chunks")
def test_fields_that_come_late_in_json_lines_are_columns_of_all_records(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n{"a": 4, "b": "x"}\n')
    assert _columns(tmp_path / "a.jsonl") == {"a": [1, 2, 3, 4], "b": [None, None, None, "x"]}


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n1,2,3,4\n"])
def test_a_broken_table_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    (table,) = private_tables(tmp_path / "a.csv")
    with pytest.raises(InvalidInputError, match=r"a\.csv"):
        list(table.chunks())


def test_what_was_not_compared_holds_the_outputs_unless_it_is_a_description(tmp_path):
    outputs = {"a.json": "[1]"}
    for name, content in (("scan.dcm", b"DICM"), ("broken.csv", b"a,b\n1,2\n1,2,3,4\n"), ("half.safetensors", b"\x01")):
        private = {"data.csv": patients(), name: content}
        assert checks(inspect(tmp_path / name, outputs, private)) == {"unread-data"}
    described = inspect(tmp_path / "d", outputs, {"data.csv": patients(), "README.md": b"One row a tumour."})
    assert described.clean
    assert checks(described, "note") == {"unread-data"}
