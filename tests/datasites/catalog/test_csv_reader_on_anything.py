"""The CSV reader on made-up tables and bytes: each is read exactly or refused, and a refusal holds no cell's value."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from tests.everything_said import everything_said
from tests.unit_arrays import read_table

texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
cells = st.one_of(
    texts, st.floats().map(repr), st.integers().map(str), st.sampled_from(["A", "0", "yes", "40", "120", "NA", "null"])
)


good_rows = st.tuples(
    st.from_regex(r"[a-z]{1,9}", fullmatch=True),
    st.integers(18, 98).map(str),
    st.floats(60, 220).map(repr),
    st.sampled_from(["A", "B", "AB", "0"]),
    st.sampled_from(["no", "yes"]),
)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(good_rows, min_size=1, max_size=4),
    place=st.tuples(st.integers(0, 3), st.integers(0, 4)),
    cell=st.none() | cells,
)
def test_any_table_is_read_exactly_or_refused_without_its_values(tmp_path_factory, manifest, rows, place, cell):
    rows = [list(row) for row in rows]
    if cell is not None:
        rows[place[0] % len(rows)][place[1]] = cell
    text = io.StringIO()
    csv.writer(text).writerows([["patient", "age", "pressure", "blood", "ill"], *rows])
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(text.getvalue().encode())
    try:
        table = read_table(path, manifest)
    except InvalidInputError as error:
        shown = [value for row in rows for value in row if len(value) > 8 and value in everything_said(error)]
        if shown or cell is None:
            pytest.fail("a table was refused that is right, or its refusal shows a value")
        return
    for number, row in enumerate(rows):
        assert table.values["age"][number] == float(row[1])
        assert table.values["pressure"][number] == float(row[2])
        assert manifest.columns[2].categories[table.values["blood"][number]] == row[3]
        assert manifest.columns[3].categories[table.values["ill"][number]] == row[4]
        assert 18 <= table.values["age"][number] <= 98


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, manifest, data):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(b"patient,age,pressure,blood,ill\n" + data)
    try:
        table = read_table(path, manifest)
    except InvalidInputError:
        return
    assert len(table.units) > 0


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(60, 220), min_size=1, max_size=5))
def test_numbers_keep_every_bit(tmp_path_factory, manifest, values):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    rows = "".join(f"p1,40,{value!r},A,yes\n" for value in values)
    path.write_text("patient,age,pressure,blood,ill\n" + rows)
    assert read_table(path, manifest).values["pressure"].tolist() == values
