"""What each reader makes of good outputs: their tables, their words, and how much they hold."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from safetensors.numpy import save

from datasites.inspection.csv_output import read_csv
from datasites.inspection.json_output import read_json
from datasites.inspection.parquet_output import read_parquet
from datasites.inspection.tensor_file import read_tensor_file
from datasites.inspection.tensor_output import read_safetensors
from datasites.inspection.text_output import read_text
from policies.disclosure.cells import INDEX, VALUE
from policies.errors import InvalidInputError


def _seen(content) -> list[tuple[tuple[str, ...], tuple]]:
    return [(table.columns, table.rows) for table in content.tables]


def test_json_objects_are_records_and_indexes():
    content = read_json("a.json", b'{"f": 54.5, "m": 55}')
    assert _seen(content)[:2] == [(("f", "m"), ((54.5, 55),)), ((INDEX, VALUE), (("f", 54.5), ("m", 55)))]
    assert content.values == 4


def test_json_written_by_pandas_is_seen_as_its_table():
    frame = pd.DataFrame({"sex": ["f", "m"], "age": [54.5, 55.5]})
    rows = (("f", 54.5), ("m", 55.5))
    assert (("sex", "age"), rows) in _seen(read_json("a.json", frame.to_json(orient="records").encode()))
    assert (("sex", "age"), rows) in _seen(read_json("a.json", frame.to_json(orient="split").encode()))
    assert (("sex", "age"), rows) in _seen(read_json("a.json", frame.to_json(orient="records", lines=True).encode()))
    assert (("sex", "age"), rows) in _seen(read_json("a.json", json.dumps(frame.to_dict("list")).encode()))
    assert (("", ""), rows) in _seen(read_json("a.json", frame.to_json(orient="values").encode()))
    expected = ((INDEX, "sex", "age"), (("0", "f", 54.5), ("1", "m", 55.5)))
    assert expected in _seen(read_json("a.json", frame.to_json(orient="columns").encode()))
    assert expected in _seen(read_json("a.json", frame.to_json(orient="index").encode()))


def test_csv_with_any_separator_and_short_rows():
    for separator in ",;\t":
        content = read_csv("a.csv", f"a{separator}b{separator}c\n1{separator}2{separator}3\n4\n".encode())
        assert _seen(content) == [(("a", "b", "c"), (("1", "2", "3"), ("4", None, None)))]
    for empty in (b"", b"\n\n\r\n"):
        assert read_csv("a.csv", empty).tables == ()


def test_levels_of_names_that_pandas_writes_are_one_header():
    frame = pd.DataFrame({"sex": ["f", "m", "f"], "age": [1, 2, 3]}).groupby("sex").agg({"age": ["mean", "count"]})
    assert _seen(read_csv("a.csv", frame.to_csv().encode())) == [
        (("sex", "age mean", "age count"), (("f", "2.0", "2"), ("m", "2.0", "1")))
    ]


def test_parquet_is_read_with_its_types(tmp_path):
    days = pd.to_datetime(["2024-01-01", None])
    pd.DataFrame({"n": [1, 2], "x": [0.5, None], "t": ["a", None], "day": days}).to_parquet(tmp_path / "a.parquet")
    ((columns, rows),) = _seen(read_parquet("a.parquet", tmp_path / "a.parquet"))
    assert columns == ("n", "x", "t", "day")
    assert rows == ((1, 0.5, "a", "2024-01-01 00:00:00"), (2, None, None, None))


def test_nested_parquet_is_refused(tmp_path):
    parquet.write_table(pa.table({"a": [[1, 2], [3]]}), tmp_path / "a.parquet")
    with pytest.raises(InvalidInputError):
        read_parquet("a.parquet", tmp_path / "a.parquet")


def test_safetensors_are_seen_by_rows_and_counted_whole(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.int64), "c": np.array(7.0)}
    (tmp_path / "a.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    content = read_safetensors("a.safetensors", tmp_path / "a.safetensors")
    rows = {table.rows for table in content.tables}
    assert rows == {((0, 1, 2), (3, 4, 5)), ((0,), (1,), (2,), (3,)), ((7,),)}
    assert content.tensor_numbers == 11
    assert set(content.texts) == {"a", "b", "c", "format", "pt"}


def test_brain_floats_are_read(tmp_path):
    values = np.array([1.5, -2.0], np.float32)
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    body = (values.view("<u4") >> 16).astype("<u2").tobytes()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    (tensor,) = read_tensor_file(tmp_path / "a.safetensors").tensors
    assert tensor.read(tmp_path / "a.safetensors", 0, 2).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "entries",
    [
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},  # a gap before it
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},  # bytes after it
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1}},
        {"a": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        },
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"x": 1}},
        [1],
    ],
)
def test_a_safetensors_header_that_is_not_strict_is_refused(tmp_path, entries):
    header = json.dumps(entries).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(InvalidInputError):
        read_tensor_file(tmp_path / "a.safetensors")


def test_lines_of_text_are_rows_of_what_stands_in_them():
    content = read_text("a.txt", b"age: 54, sex=f\n\n[1 2 3]\n")
    assert _seen(content) == [((), (("age", "54", "sex", "f"), ("1", "2", "3")))]
    assert content.values == 4


def test_text_with_colours_and_progress_is_text():
    assert read_text("a.log", b"\x1b[32mdone\x1b[0m\r 50%\r100%\n").values == 4
    assert read_text("a.txt", b"").values == 0
