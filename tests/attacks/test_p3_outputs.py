"""P3, what an approved job hands out: data hidden in its outputs is held, wherever and however it is put there."""

import base64
import json
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from policies.disclosure.findings import Findings
from tests.one_inspection import checks, inspect, patients

PATIENTS = patients()
NUMBERS = PATIENTS.drop(columns=["patient", "sex", "region"])
MEANS = PATIENTS.drop(columns="patient").groupby(["sex", "region"]).mean()


@pytest.fixture
def inspected(tmp_path) -> Callable[..., Findings]:
    """Inspect one output against the patients."""
    return lambda name, content, **more: inspect(
        tmp_path, {name: content}, {"data.csv": PATIENTS}, unit_column="patient", **more
    )


def png(*extra: tuple[bytes, bytes], after: bytes = b"", packed_after: bytes = b"", size: int = 8) -> bytes:
    """A grey square, with further chunks, bytes after its end, or bytes behind the packed points."""
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    points = zlib.compress(bytes((1 + size) * size)) + packed_after
    chunks = ((b"IHDR", header), *extra, (b"IDAT", points), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks)) + after


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    name, body = chunk
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def test_one_record_among_aggregates_is_found(inspected):
    record = PATIENTS.drop(columns="patient").iloc[[77]]
    assert inspected("a.csv", pd.concat([MEANS.reset_index(), record]).to_csv(index=False)).clean is False
    assert inspected("b.csv", MEANS.to_csv()).clean, "the aggregates alone are clean"


@pytest.mark.parametrize("form", ["renamed", "shuffled", "rounded", "text", "float32"])
def test_a_record_is_found_in_another_form(inspected, form):
    record = NUMBERS.iloc[[123]]
    changed = {
        "renamed": record.set_axis([f"x{place}" for place in range(record.shape[1])], axis=1),
        "shuffled": record.sample(frac=1, axis=1, random_state=3).set_axis(range(record.shape[1]), axis=1),
        "rounded": record.round(3).add_prefix("x"),
        "text": record.add_prefix("x").astype(str) + " ",
        "float32": record.astype(np.float32).add_prefix("x"),
    }[form]
    noise = pd.DataFrame(
        np.random.default_rng(0).normal(100, 30, (12, record.shape[1])).round(2), columns=changed.columns
    )
    assert "record-rows" in checks(inspected("table.csv", pd.concat([noise, changed]).to_csv(index=False)))


def test_a_record_padded_with_foreign_values_is_found(inspected):
    record = NUMBERS.iloc[33].tolist()
    padded = [*record, *np.random.default_rng(1).uniform(1000, 9000, len(record)).round(3).tolist()]
    np.random.default_rng(2).shuffle(padded)
    assert "record-rows" in checks(inspected("a.json", json.dumps(padded)))


def test_one_person_in_a_json_object_is_found(inspected):
    person = PATIENTS.iloc[5][["age", "sex", "region", "mean radius"]].to_dict()
    assert "rare-combinations" in checks(inspected("a.json", json.dumps({"summary": person}, default=str)))


@pytest.mark.parametrize("scale", ["raw", "min-max", "z-score"])
@pytest.mark.parametrize("shape", ["matrix", "flat"])
def test_records_in_a_tensor_are_found_as_they_are_or_rescaled(inspected, scale, shape):
    values = NUMBERS.to_numpy(float)
    scaled = {
        "raw": values,
        "min-max": (values - values.min(0)) / np.ptp(values, axis=0),
        "z-score": (values - values.mean(0)) / values.std(0),
    }[scale]
    order = np.random.default_rng(2).permutation(values.shape[1])
    some = np.ascontiguousarray(scaled[40:48, order], np.float32)  # safetensors writes memory as it lies
    tensor = some if shape == "matrix" else some.ravel()
    assert "record-rows" in checks(inspected("model.safetensors", save({"layer.weight": tensor})))


def test_a_tensor_as_large_as_the_data_is_found_whatever_it_holds(inspected):
    weights = np.random.default_rng(0).normal(size=NUMBERS.shape)
    assert checks(inspected("model.safetensors", save({"layer.weight": weights}))) == {"large-tensors"}


def test_a_column_is_found_in_any_order_and_under_any_name(inspected):
    values = sorted(PATIENTS["mean texture"].iloc[100:140])
    assert "copied-column" in checks(inspected("losses.json", json.dumps({"loss": values})))
    assert "copied-column" in checks(inspected("losses.txt", "\n".join(map(str, values))))


def test_records_stored_by_columns_are_found(inspected):
    assert "record-rows" in checks(inspected("a.csv", NUMBERS.iloc[:3].T.to_csv()))
    assert "record-rows" in checks(inspected("b.json", NUMBERS.iloc[:3].to_json()))


@pytest.mark.parametrize("spell", [base64.b64encode, bytes.hex], ids=["base64", "hex"])
def test_encoded_data_in_a_string_is_found(inspected, spell):
    spelled = spell(NUMBERS.to_numpy(np.float32).tobytes())
    text = spelled if isinstance(spelled, str) else spelled.decode()
    expected = {"opaque-text", "too-many-values"}
    assert checks(inspected("model.json", json.dumps({"weights": text}))) == expected
    assert checks(inspected("stdout.txt", text)) == expected
    lines = [text[first : first + 60] for first in range(0, len(text), 60)]
    assert checks(inspected("lines.json", json.dumps(lines))) == {"too-many-values"}


@pytest.mark.parametrize("number", ["0.{}", "[0.{}, 1]", "1e{}1", "1.{}e5"])
def test_data_in_the_digits_of_a_number_is_found(inspected, number):
    """Read as a float, it would not show what most of them say."""
    assert "unreadable" in checks(inspected("a.json", number.format("0123456789" * 1000)))
    assert inspected("b.json", json.dumps([-2.2250738585072014e-308, 1 / 3, 1e300])).clean


def test_data_in_the_spaces_of_a_file_is_found(inspected):
    hidden = "".join(" \t"[int(bit)] for byte in NUMBERS.to_numpy(np.float32).tobytes()[:9000] for bit in f"{byte:08b}")
    assert checks(inspected("result.json", '{"accuracy": 0.93}' + hidden)) == {"too-many-values"}


def test_data_in_the_spaces_of_a_tensors_header_is_found(inspected):
    plain = save({"w": np.zeros(2)})
    end = 8 + int.from_bytes(plain[:8], "little")
    header = plain[8:end] + b" \t" * 40_000
    padded = len(header).to_bytes(8, "little") + header + plain[end:]
    assert checks(inspected("a.safetensors", padded)) == {"too-many-values"}
    assert inspected("b.safetensors", plain).clean


def test_identifiers_are_found_in_text_names_and_keys(inspected):
    unit = PATIENTS["patient"].iloc[7]
    for name, content in (
        ("stdout.txt", f"bad value at {unit.upper()}!"),
        ("stderr.txt", f"KeyError: '{unit}'"),
        ("a.json", json.dumps({"errors": {unit: 1.5}})),
        ("b.csv", f"feature,weight\nage,0.5\n{unit},0.1\n"),
        ("c.safetensors", save({unit: np.zeros(2)})),
        (f"{unit}.txt", "nothing"),
    ):
        assert "identifiers" in checks(inspected(name, content)), name


def test_an_identifying_column_is_known_without_a_manifest(tmp_path):
    outputs = {"stdout.txt": f"first is {PATIENTS['patient'].iloc[0]}"}
    assert checks(inspect(tmp_path, outputs, {"data.csv": PATIENTS})) == {"identifiers"}


def test_the_units_own_column_is_found_however_short_its_values(tmp_path):
    frame = PATIENTS.assign(patient=range(len(PATIENTS)))
    table = frame.groupby("patient")["target"].mean().head(3).to_csv()
    assert "identifiers" in checks(inspect(tmp_path, {"a.csv": table}, {"data.csv": frame}, unit_column="patient"))


def test_groups_that_are_too_small_are_found_without_any_count_column(inspected, tmp_path):
    ages = PATIENTS.groupby("age")["mean radius"].mean()
    for name, content in (("a.csv", ages.to_csv()), ("b.csv", ages.reset_index().to_csv())):
        assert "small-groups" in checks(inspected(name, content))
    few = PATIENTS.assign(region=["north", *["south"] * 560, *["east"] * 8])
    private = {"data.csv": few}
    for folder, content in (
        ("c", few.groupby("region").age.mean().to_json()),
        ("d", json.dumps({"north": 41.0, "south": 52.1})),
    ):
        assert "small-groups" in checks(inspect(tmp_path / folder, {"c.json": content}, private))


def test_many_records_of_few_people_are_a_small_group(tmp_path):
    visits = pd.DataFrame({"patient": ["a1", "b2", "c3"] * 20 + [f"d{number}" for number in range(60)]})
    visits = visits.assign(ward=["x"] * 60 + ["y"] * 60, cost=np.arange(120.0))
    outputs = {"a.csv": visits.groupby("ward")["cost"].agg(["mean", "count"]).to_csv()}
    assert checks(inspect(tmp_path, outputs, {"data.csv": visits}, unit_column="patient")) == {"small-groups"}
    assert inspect(tmp_path, outputs, {"data.csv": visits}).clean, "without a unit only the records can be counted"


def test_small_counts_are_found_under_their_name_or_by_their_sum(inspected):
    assert "small-counts" in checks(inspected("a.csv", "group,n\na,57\nb,3\n"))
    table = pd.crosstab(PATIENTS["age"] // 5 * 5, PATIENTS["region"])
    assert 0 < table.to_numpy().min() < 10
    assert "small-counts" in checks(inspected("b.csv", table.to_csv()))
    assert "small-counts" in checks(inspected("c.json", table.to_json()))


def test_a_mean_that_one_record_dominates_is_found(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"bank": ["a", "b"] * 200, "turnover": random.uniform(100, 200, 400).round(2)})
    frame.loc[0, "turnover"] = 90_000.0
    means = frame.groupby("bank")["turnover"].mean()
    private = {"data.csv": frame}
    assert checks(inspect(tmp_path / "a", {"a.csv": means.to_csv()}, private)) == {"dominance"}
    assert checks(inspect(tmp_path / "b", {"a.json": means.round(1).to_json()}, private)) == {"dominance"}
    medians = frame.groupby("bank")["turnover"].median().round(1)
    assert inspect(tmp_path / "c", {"a.csv": medians.to_csv()}, private).clean, "a median gives nobody away"


def test_an_image_is_for_a_persons_eyes_and_what_hides_beside_it_is_told(inspected):
    assert checks(inspected("plot.png", png())) == {"image"}
    assert checks(inspected("plot.png", png((b"tEXt", b"Software\0Matplotlib version 3.10")))) == {"image"}
    data = NUMBERS.to_numpy(np.float32).tobytes()
    for hidden in (
        png((b"tEXt", b"Comment\0" + base64.b64encode(data))),
        png((b"zTXt", b"Comment\0\0" + zlib.compress(data))),
        png((b"prVt", data[:200])),
        png(*[(b"tEXt", b"a\0" + bytes([65 + place]) * 90) for place in range(20)]),
        png(after=data),
        png(packed_after=data[:500]),
    ):
        assert checks(inspected("plot.png", hidden)) >= {"image", "extra"}


def test_undeclared_files_links_and_other_formats_are_held(inspected):
    assert checks(inspected("other.txt", "fine", declared=["result.json"])) == {"undeclared"}
    assert checks(inspected("result.json", "1", left_out=["2 links"])) == {"left-out"}
    for name, content in (("a.pkl", b"\x80\x04."), ("a.zip", b"PK\x03\x04"), ("a", b"text"), ("a.png", b"GIF89a")):
        assert checks(inspected(name, content)) == {"other-format"}


def test_data_split_over_many_outputs_is_counted_together(tmp_path):
    random = np.random.default_rng(0)
    outputs = {f"part-{number}.json": json.dumps(random.normal(size=50).tolist()) for number in range(12)}
    assert checks(inspect(tmp_path, outputs, {"data.csv": PATIENTS})) == {"too-many-values"}
