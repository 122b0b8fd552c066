"""The reader: exact on good tables; on bad ones it names rows and columns, and no error ever holds a cell's value."""

import time

import numpy as np
import pytest

from datasites.catalog.table_checks import MAXIMUM_PROBLEMS, rows_a_batch
from policies.errors import InvalidInputError
from tests.everything_said import everything_said
from tests.unit_arrays import read_table

GOOD = "p1,40,120.5,A,yes"


def refusal(path, manifest) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_table(path, manifest)
    return str(caught.value)


def test_reads_values_by_name_whatever_their_order(manifest, write_table):
    path = write_table(["AB,1.5e2,yes,p1,40", '"0",60,no,"p,2",98'], header="blood,pressure,ill,patient,age\n")
    table = read_table(path, manifest)
    assert table.units.tolist() == ["p1", "p,2"]
    assert table.values["age"].tolist() == [40, 98]
    assert table.values["pressure"].tolist() == [150, 60]
    assert table.values["blood"].tolist() == [2, 3]
    assert table.values["ill"].tolist() == [1, 0]
    assert table.values["blood"].dtype == np.int64
    assert table.values["pressure"].dtype == np.float64


def test_accepts_a_byte_order_mark_and_windows_line_ends(manifest, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbfpatient,age,pressure,blood,ill\r\n" + GOOD.encode() + b"\r\n")
    assert read_table(path, manifest).units.tolist() == ["p1"]


def test_one_person_spelled_in_two_unicode_forms_or_with_spaces_is_one_unit(manifest, write_table):
    path = write_table(
        [GOOD.replace("p1", name) for name in ("Ren\u00e9", "Rene\u0301", " Ren\u00e9 ", "\u00a0Ren\u00e9")]
    )
    assert set(read_table(path, manifest).units.tolist()) == {"Ren\u00e9"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("p1,,120,A,yes", "column 'age' is empty"),
        ("p1,40,  ,A,yes", "column 'pressure' is empty"),
        ("p1,40,120,,yes", "column 'blood' is empty"),
        ("p1,40,nan,A,yes", "column 'pressure' is not a decimal number"),
        ("p1,40,inf,A,yes", "not a decimal number"),
        ("p1,40,1e999,A,yes", "outside the declared bounds"),
        ("p1,40,-1e999,A,yes", "outside the declared bounds"),
        ("p1,1e999,120,A,yes", "outside the declared bounds"),
        ("p1,40,1_20,A,yes", "not a decimal number"),
        ("p1,40, 120,A,yes", "not a decimal number"),
        ("p1,40,١٢٠,A,yes", "not a decimal number"),
        ("p1,40,0x78,A,yes", "not a decimal number"),
        ("p1,40,1-2,A,yes", "not a decimal number"),
        ("p1,40,e5,A,yes", "not a decimal number"),
        ("p1,40,,A,yes", "is empty"),
        ('p1,40,"120,5",A,yes', "not a decimal number"),
        ("p1,40,59.999,A,yes", "outside the declared bounds 60.0 to 220.0"),
        ("p1,40,220.001,A,yes", "outside the declared bounds 60.0 to 220.0"),
        ("p1,40.5,120,A,yes", "column 'age' is not a whole number"),
        ("p1,17,120,A,yes", "outside the declared bounds 18 to 98"),
        ("p1,40,120,a,yes", "column 'blood' is not one of the declared categories"),
        ("p1,40,120, A,yes", "not one of the declared categories"),
        (",40,120,A,yes", "privacy unit is empty"),
        ("  ,40,120,A,yes", "privacy unit is empty"),
        ("p\u200b1,40,120,A,yes", "invisible characters"),
        ('"p\n1",40,120,A,yes', "invisible characters"),
        (f"{'p' * 201},40,120,A,yes", "longer than 200"),
        ("p1,40,120,A", "does not have 5 fields"),
        ("p1,40,120,A,yes,yes", "does not have 5 fields"),
        ("", "does not have 5 fields"),
        ('p1,40,120,A,"yes', "quotes"),
        ('p1,40,120,A,"y"es', "quotes"),
        (f"p1,40,120,A,{'y' * 200_000}", "too long"),
    ],
)
def test_names_row_column_and_remedy(manifest, write_table, row, said):
    message = refusal(write_table([GOOD, row]), manifest)
    assert "row 3" in message
    assert said in message


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("patient,age,pressure,blood,ill,salary\n", "column 6 of the header is not in the manifest"),
        ("patient,age,pressure,blood\n", "column 'ill' of the manifest is missing"),
        ("patient,age,age,pressure,blood,ill\n", "column 'age' stands there twice"),
        ("patient;age;pressure;blood;ill\n", "column 1 of the header is not in the manifest"),
        ("\n", "missing"),
    ],
)
def test_refuses_another_header(manifest, write_table, header, said):
    assert said in refusal(write_table([GOOD], header=header), manifest)


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b"patient,age,pressure,blood,ill\n", "no rows")])
def test_refuses_empty_files(manifest, tmp_path, content, said):
    path = tmp_path / "empty.csv"
    path.write_bytes(content)
    assert said in refusal(path, manifest)


@pytest.mark.parametrize(
    "content", ["patient,age,pressure,blood,ill\np1,40,120,A,yé".encode("latin-1"), b"PK\x03\x04\xff\x00"]
)
def test_refuses_what_is_not_utf_8(manifest, tmp_path, content):
    path = tmp_path / "latin.csv"
    path.write_bytes(content)
    assert "UTF-8" in refusal(path, manifest)


def test_refuses_what_cannot_be_opened(manifest, tmp_path):
    assert "cannot be read" in refusal(tmp_path / "absent.csv", manifest)
    assert "cannot be read" in refusal(tmp_path, manifest)


def test_shows_the_first_problems_in_the_order_of_rows(manifest, write_table):
    rows = [GOOD, "p1,17,120,A,maybe", "p1,40,120,A"] + ["p1,40,500,A,yes"] * 50
    message = refusal(write_table(rows), manifest)
    lines = message.splitlines()[1:]
    assert len(lines) == MAXIMUM_PROBLEMS
    assert [line.split(":")[0].strip() for line in lines] == ["row 3", "row 3", *(f"row {n}" for n in range(4, 22))]


def test_numbers_rows_across_chunks(manifest, write_table):
    good = [GOOD] * (rows_a_batch(manifest) + 5)
    assert len(read_table(write_table(good), manifest).units) == len(good)
    message = refusal(write_table([*good, "p1,40,120,Q,yes", "p1"]), manifest)
    assert f"row {len(good) + 2}: column 'blood'" in message
    assert f"row {len(good) + 3}: does not have" in message


def test_numbers_rows_after_ragged_ones_in_earlier_chunks(manifest, write_table, monkeypatch):
    monkeypatch.setattr("datasites.catalog.csv_reader.rows_a_batch", lambda manifest: 2)
    message = refusal(write_table(["p1", GOOD, GOOD, "p1", GOOD, "p1,40,120,Q,yes"]), manifest)
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == ["row 2", "row 5", "row 7"]


def test_a_table_without_header_does_not_show_its_first_record(manifest, write_table):
    message = refusal(write_table([GOOD], header="Anna Karenina,41,133.7,AB,no\n"), manifest)
    assert not any(cell in message for cell in ("Karenina", "41", "133"))


def test_neither_table_nor_error_shows_a_cell(manifest, write_table):
    assert "p1" not in repr(read_table(write_table([GOOD]), manifest))
    secret = "5ecret7"
    cells = ["p1", "40", "120", "A", "yes"]
    attempts = [
        [*cells[:place], value, *cells[place + 1 :]] for place in range(1, 5) for value in (secret, f'"{secret}')
    ]
    attempts += [[secret], [*cells, secret], ["\u200b" + secret, *cells[1:]], [secret * 30, *cells[1:]]]
    for attempt in attempts:
        with pytest.raises(InvalidInputError) as caught:
            read_table(write_table([",".join(attempt)]), manifest)
        assert secret not in everything_said(caught.value)


def test_undecodable_bytes_do_not_stay_in_the_error(manifest, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(b"patient,age,pressure,blood,ill\n5ecret7\xff,40,120,A,yes\n")
    with pytest.raises(InvalidInputError) as caught:
        read_table(path, manifest)
    assert caught.value.__context__ is None


def test_a_header_of_endless_repetitions_is_refused_soon(manifest, write_table):
    began = time.process_time()
    said = refusal(write_table([GOOD], header="age," * 125_000 + "\n"), manifest)
    assert "column 'age' stands there twice" in said
    assert time.process_time() - began < 10, "looking each name up among all before it takes minutes"
