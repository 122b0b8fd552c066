"""Tables of a database: frozen to the same bytes as CSV; nothing but one SELECT runs, and no error tells a cell."""

# ruff: noqa: S608 – the statements are written here, and attacks among them

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from datasites.catalog.sql_source import SqlQuery
from datasites.catalog.table import open_table, read_batches
from datasites.catalog.table_checks import rows_a_batch
from policies.errors import InvalidInputError
from tests.databases import DATABASES, POSTGRESQL, SQLITE
from tests.everything_said import everything_said
from tests.postgresql_server import drop_database, new_database
from tests.unit_arrays import freeze

SECRET = "5ecret7"
_COLUMNS = "patient TEXT, age BIGINT, pressure NUMERIC, blood TEXT, ill TEXT, salary BIGINT"
DECLARED = "SELECT patient, age, pressure, blood, ill FROM visits ORDER BY number"

ENDLESS = (
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted) "
    "SELECT 'p' || n AS patient, 40 AS age, 100.0 AS pressure, 'A' AS blood, 'no' AS ill FROM counted"
)
LONG = {"sqlite": "hex(zeroblob(50000))", "postgresql+psycopg": "repeat('00', 50000)"}


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path, visits: list[str]) -> Iterator[str]:
    """A database with the clinic's visits, a column more, and a view of exactly the declared columns."""
    url = f"sqlite:///{tmp_path / 'hospital.db'}" if request.param == SQLITE else new_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE visits (number BIGINT PRIMARY KEY, {_COLUMNS})"))
        connection.execute(text("CREATE VIEW declared AS SELECT patient, age, pressure, blood, ill FROM visits"))
        names = ("patient", "age", "pressure", "blood", "ill")
        rows = [dict(zip(names, row, strict=True)) | {"number": at} for at, row in enumerate(csv.reader(visits))]
        rows = [row | {"age": int(row["age"]), "pressure": float(row["pressure"])} for row in rows]
        values = ", ".join(f":{name}" for name in ("number", *names))
        connection.execute(text(f"INSERT INTO visits VALUES ({values}, 1)"), rows)
    engine.dispose()
    yield url
    if request.param == POSTGRESQL:
        drop_database(url)


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement as the database's owner would, beside whatever reads it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def refusal(url: str, select: str, manifest) -> str:
    with pytest.raises(InvalidInputError) as caught, open_table(SqlQuery(url, select)) as table:
        list(read_batches(table, manifest))
    assert SECRET not in everything_said(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("select", ["declared", DECLARED, f"WITH chosen AS ({DECLARED}) SELECT * FROM chosen"])
def test_tables_views_and_selects_freeze_as_csv_does(url, select, manifest, keys, visits, write_table, tmp_path):
    folder = tmp_path / "frozen"
    commitment, _ = freeze(write_table(visits), manifest, keys, folder)
    assert freeze(SqlQuery(url, select), manifest, keys, folder)[0] == commitment


def test_rows_are_taken_as_they_come_and_never_all_at_once(url, manifest):
    """A query without an end; if a driver collected its rows first, this test would fill the memory."""
    with open_table(SqlQuery(url, ENDLESS)) as table, closing(table.parts(manifest)) as parts:
        batch, problems = next(parts)
    assert (len(batch.units), problems) == (rows_a_batch(manifest), [])


def test_a_batch_is_bounded_in_bytes_whatever_the_cells_hold(url, manifest):
    """Rows of 100 kB each: of these no batch holds as many as of short ones."""
    long = ENDLESS.replace("'A'", LONG[url.split(":")[0]])
    with open_table(SqlQuery(url, long)) as table, closing(table.parts(manifest)) as parts:
        batch, problems = next(parts)
    assert len(batch.units) + len(problems) <= 256


def test_a_cell_without_measure_is_refused_before_more_are_fetched(url, manifest):
    longer = LONG[url.split(":")[0]].replace("50000", "5000000")
    assert "longer than 1048576 bytes; shorten it" in refusal(url, ENDLESS.replace("'A'", longer), manifest)


def test_a_long_cell_that_is_not_selected_is_no_obstacle(url, manifest):
    execute(url, "ALTER TABLE visits ADD COLUMN letter TEXT")
    execute(url, f"UPDATE visits SET letter = {LONG[url.split(':')[0]].replace('50000', '5000000')} WHERE number < 3")
    with open_table(SqlQuery(url, DECLARED)) as table:
        assert sum(len(batch.units) for batch in read_batches(table, manifest)) == 300


def test_signs_that_drivers_may_take_for_parameters_stay_what_they_are(url, manifest):
    select = "SELECT patient, age, pressure, blood, ill FROM visits WHERE patient LIKE 'p0%' AND ':a %s ?' <> patient"
    with open_table(SqlQuery(url, select)) as table:
        assert sum(len(batch.units) for batch in read_batches(table, manifest)) > 100


@pytest.mark.parametrize(
    "select",
    [
        "DELETE FROM visits",
        "UPDATE visits SET salary = 0",
        "INSERT INTO visits (number) VALUES (-1)",
        "DROP TABLE visits",
        "declared; DROP TABLE visits",
        "PRAGMA writable_schema = 1",
        "ATTACH DATABASE 'other.db' AS other",
        "COPY visits TO '/tmp/visits'",
        "/* SELECT */ DELETE FROM visits",
        "EXPLAIN ANALYZE DELETE FROM visits",
        "",
        '"visits"',
    ],
)
def test_what_is_no_select_is_not_even_sent(url, select, manifest):
    assert "neither the name of a table nor one SELECT" in refusal(url, select, manifest)
    assert execute(url, "SELECT count(*), min(salary) FROM visits") == [(300, 1)]


@pytest.mark.parametrize(
    "select",
    [
        f"{DECLARED}; DROP TABLE visits",
        f"{DECLARED}; COMMIT; DROP TABLE visits",
        "WITH gone AS (DELETE FROM visits RETURNING *) SELECT patient, age, pressure, blood, ill FROM gone",
        "WITH chosen AS (SELECT 1) DELETE FROM visits",
        "SELECT patient, age, pressure, blood, ill INTO copied FROM visits",
        "SELECT set_config('transaction_read_only', 'off', true); DELETE FROM visits",
        "SELECT load_extension('x'), patient, age, pressure, blood, ill FROM visits",
        f"{DECLARED} FOR UPDATE",
        f"SELECT * FROM nowhere_{SECRET}",
    ],
)  # fmt: skip
def test_a_select_that_does_more_is_stopped_by_the_database(url, select, manifest):
    assert "did not answer the query" in refusal(url, select, manifest)
    assert execute(url, "SELECT count(*), min(salary) FROM visits") == [(300, 1)]


def test_the_file_is_opened_read_only_and_its_triggers_and_views_can_do_nothing(tmp_path, manifest):
    path = tmp_path / "hospital.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE visits (patient, age, pressure, blood, ill)")
        connection.execute("INSERT INTO visits VALUES ('p1', 40, 120, 'A', 'yes')")
    before = path.read_bytes()
    path.chmod(0o400)
    with open_table(SqlQuery(f"sqlite:///{path}", "visits")) as table:
        assert [batch.units.tolist() for batch in read_batches(table, manifest)] == [["p1"]]
    assert path.read_bytes() == before
    assert {it.name for it in tmp_path.iterdir()} == {"hospital.db"}


def test_both_passes_see_one_moment(url, manifest, keys, visits, write_table, tmp_path, monkeypatch):
    """Rows that are written between the passes are not seen; in SQLite's default mode their writer waits."""
    if url.startswith(SQLITE):
        execute(url, "PRAGMA journal_mode=WAL")
    commitment, _ = freeze(write_table(visits), manifest, keys, tmp_path / "frozen")
    from tests import unit_arrays

    true_write = unit_arrays.write_snapshot

    def write(*given):
        execute(url, "DELETE FROM visits WHERE number < 150")
        return true_write(*given)

    monkeypatch.setattr(unit_arrays, "write_snapshot", write)
    assert freeze(SqlQuery(url, DECLARED), manifest, keys, tmp_path / "frozen")[0] == commitment
    assert execute(url, "SELECT count(*) FROM visits") == [(150,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"UPDATE visits SET blood = '{SECRET}' WHERE number = 4", "row 5: column 'blood' is not one of"),
        ("UPDATE visits SET age = NULL WHERE number = 6", "row 7: column 'age' is empty"),
        ("UPDATE visits SET age = 7 WHERE number = 6", "row 7: column 'age' is outside"),
        ("UPDATE visits SET patient = NULL WHERE number = 6", "row 7: the privacy unit is empty"),
        ("DELETE FROM visits", "the query selects no rows"),
    ],
)
def test_rows_are_checked_as_in_any_table(url, change, said, manifest):
    execute(url, change)
    assert said in refusal(url, DECLARED, manifest)


def test_columns_are_checked_and_named_only_if_they_are_declared(url, manifest):
    said = refusal(url, f"SELECT patient, age, pressure, blood, ill, salary AS s{SECRET} FROM visits", manifest)
    assert "column 6 of the header is not in the manifest" in said
    said = refusal(url, f"SELECT patient, '{SECRET}' AS age, pressure, blood, 1.5 AS ill FROM visits", manifest)
    assert "column 'age' does not hold numbers alone; cast it" in said
    assert "column 'ill' does not hold text or whole numbers alone; cast it" in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql+psycopg://ada:{SECRET}@db.example/hospital", "leave the password out"),
        (f"postgresql+psycopg://ada@db.example/hospital?password={SECRET}", "leave the password out"),
        ("postgresql://ada@db.example/hospital", "postgresql\\+psycopg://user@host/database"),
        (f"mysql://ada:{SECRET}@db.example/hospital", "from a PostgreSQL server"),
        (f"sqlite:////nowhere/{SECRET}.db", "that is there"),
        ("sqlite://", "that is there"),
        ("sqlite:///hospital.db?mode=rwc", "that is there"),
        (f"//ada:{SECRET}@", "write the URL so"),
        (f"postgresql+psycopg://ada@/hospital?host=/nowhere/{SECRET}", "did not answer"),
    ],
)
def test_a_url_is_checked_and_never_repeated(url, said, manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hospital.db").touch()
    with pytest.raises(InvalidInputError, match=said) as caught, open_table(SqlQuery(url, "visits")):
        pass
    assert SECRET not in everything_said(caught.value)
