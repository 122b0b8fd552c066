"""One serving process to a PostgreSQL database: a second is refused, and one that lost its place changes nothing."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from datasites.store import sole_server as module
from datasites.store.engine import open_engine, reading
from datasites.store.postgresql import WATCHING
from datasites.store.sole_server import sole_server
from policies.errors import ConflictError
from tests.databases import POSTGRESQL, empty_database

SERVING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(module, "_LONGEST_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.1)
    opened = open_engine(empty_database(POSTGRESQL, tmp_path))
    with opened.begin() as connection:
        connection.execute(text("CREATE TABLE notes (said TEXT)"))
    yield opened
    opened.dispose()


@pytest.fixture
def other(engine: Engine) -> Iterator[Engine]:
    """The same database, opened by somebody else."""
    opened = open_engine(engine.url.render_as_string())
    yield opened
    opened.dispose()


def end_serving_session(engine: Engine) -> None:
    with engine.connect().execution_options(**WATCHING) as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid, 10000) FROM ({SERVING}) AS it"))  # noqa: S608


def write(engine: Engine, said: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO notes VALUES (:it)"), {"it": said})


def notes(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(text("SELECT said FROM notes")).scalars())


def never() -> None:
    raise AssertionError("it was not lost")


def test_a_second_server_is_refused_until_the_first_has_ended(engine: Engine, other: Engine) -> None:
    with sole_server(engine, never):
        with pytest.raises(ConflictError, match="serves this datasite's database already"), sole_server(other, never):
            pass
        write(engine, "the server")
        write(other, "its owner's commands")
    with sole_server(other, never):
        write(other, "the next server")
    write(engine, "no server any more")
    assert len(notes(engine)) == 4


def test_one_that_lost_its_place_is_told_and_changes_nothing_any_more(engine: Engine, other: Engine) -> None:
    lost = threading.Event()
    with sole_server(engine, lost.set):
        write(engine, "mine")
        end_serving_session(other)
        with sole_server(other, never), pytest.raises(OperationalError, match="lost its place"):
            write(engine, "too late")
        with pytest.raises(OperationalError, match="lost its place"):
            write(engine, "still too late")
        assert notes(engine) == ["mine"]
        assert lost.wait(10)
    assert notes(other) == ["mine"]


def test_a_transaction_that_began_in_time_ends_before_its_successor_begins(engine: Engine, other: Engine) -> None:
    said, begun = list[str](), threading.Event()

    def succeed() -> None:
        with sole_server(other, never):
            begun.set()
            with other.begin():
                said.append("successor")

    with sole_server(engine, lambda: None), engine.begin():
        end_serving_session(other)
        thread = threading.Thread(target=succeed)
        thread.start()
        assert begun.wait(10)
        time.sleep(0.3)
        said.append("predecessor")
    thread.join(30)
    assert said == ["predecessor", "successor"]


def test_sqlite_needs_none(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'datasite.sqlite'}")
    with sole_server(engine, never), sole_server(engine, never), engine.begin():
        pass
