"""The engine: what commits is on disk, what is deleted is gone, and no two changes interleave; on both databases."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from datasites.store.engine import forget_deleted, open_engine, reading
from datasites.store.migrate import migrate
from policies.errors import InvalidInputError
from tests.databases import POSTGRESQL, empty_database
from tests.postgresql_server import new_database


@pytest.fixture
def url(database: str, tmp_path: Path) -> str:
    return empty_database(database, tmp_path)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_engine(url)
    with opened.begin() as connection:
        connection.execute(text("CREATE TABLE notes (said TEXT)"))
    yield opened
    opened.dispose()


def said(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(text("SELECT said FROM notes")).scalars())


def test_in_sqlite_a_commit_is_on_disk_and_keys_are_checked_and_deleted_rows_are_gone(tmp_path: Path) -> None:
    with open_engine(f"sqlite:///{tmp_path / 'datasite.sqlite'}").begin() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "foreign_keys", "journal_mode", "secure_delete")
        }
    assert found == {"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal", "secure_delete": 1}


def test_in_postgresql_a_commit_is_on_disk_whatever_the_servers_default_is(tmp_path: Path) -> None:
    url = empty_database(POSTGRESQL, tmp_path)
    with create_engine(url).connect() as careless:
        assert careless.execute(text("SHOW synchronous_commit")).scalar_one() == "off"
    engine = open_engine(url)
    for _ in range(2):  # a transaction that is taken back does not take the setting with it
        with engine.begin() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
            assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
            connection.rollback()
    engine.dispose()


def test_a_transaction_holds_the_write_lock_from_its_first_moment(engine: Engine, url: str) -> None:
    other, done = open_engine(url), list[str]()

    def write() -> None:
        with other.begin():
            done.append("other")

    with engine.begin():
        thread = threading.Thread(target=write)
        thread.start()
        time.sleep(0.3)
        done.append("first")
    thread.join(30)
    other.dispose()
    assert done == ["first", "other"]


def test_an_sqlite_file_is_locked_against_any_other_program(tmp_path: Path) -> None:
    path = tmp_path / "datasite.sqlite"
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with (
        open_engine(f"sqlite:///{path}").begin(),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_reader_sees_one_moment_waits_for_nobody_and_changes_nothing(engine: Engine) -> None:
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO notes VALUES ('one')"))
        assert said(engine) == []
    with reading(engine) as reader:
        assert list(reader.execute(text("SELECT said FROM notes")).scalars()) == ["one"]
        with engine.begin() as writer:
            writer.execute(text("INSERT INTO notes VALUES ('two')"))
        assert list(reader.execute(text("SELECT said FROM notes")).scalars()) == ["one"]
    assert said(engine) == ["one", "two"]
    with engine.begin() as writer:  # the same connection writes again
        writer.execute(text("DELETE FROM notes"))
    assert said(engine) == []


def test_in_postgresql_a_reader_cannot_write(tmp_path: Path) -> None:
    engine = open_engine(empty_database(POSTGRESQL, tmp_path))
    with reading(engine) as reader, pytest.raises(DBAPIError, match="read-only"):
        reader.execute(text("CREATE TABLE notes (said TEXT)"))
    engine.dispose()


def test_a_database_that_does_not_hold_unicode_is_refused() -> None:
    url = new_database("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(InvalidInputError, match="encoding SQL_ASCII"), open_engine(url).begin():
        pass


def test_deleted_rows_are_tidied_away_while_others_read(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    with reading(engine):
        forget_deleted(engine)
    engine.dispose()
