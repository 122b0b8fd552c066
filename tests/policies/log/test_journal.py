"""The journal in a real database of each kind: with its transaction or not at all, without holes, from many at once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, delete, false, text

from datasites.store.engine import open_engine
from policies.errors import ConflictError, NotAuthenticError
from policies.log import journal, merkle
from policies.log.bundle import SiteFacts, read_bundle
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.entries import RequestClosed
from tests.databases import DATABASES, SQLITE, empty_database

HEX = "0f" * 32
WRITER = """
import sys
from datasites.store.engine import open_engine
from policies.log import journal
from policies.log.entries import RequestClosed
engine = open_engine(sys.argv[1])
for number in range(25):
    with engine.begin() as connection:
        journal.append(connection, RequestClosed(at=number, request="0f" * 32, reason=sys.argv[2]))
"""


def closing(reason: str) -> RequestClosed:
    return RequestClosed(at=5, request=HEX, reason=reason)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    journal.log_entries.create(engine)
    yield engine
    engine.dispose()


def test_entries_come_back_in_order_with_their_tree(engine: Engine) -> None:
    written = [closing(reason) for reason in ("one", "two", "three")]
    with engine.begin() as connection:
        assert journal.tree_head(connection).size == 0
        assert [journal.append(connection, entry) for entry in written] == [0, 1, 2]
    with engine.begin() as connection:
        assert list(journal.entries(connection)) == list(enumerate(written))
        expected = merkle.tree_head(merkle.leaf_hash(entry.canonical()) for entry in written)
        assert journal.tree_head(connection) == expected


def test_an_entry_is_found_by_its_hash_without_a_walk_through_the_log(engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(300):
            journal.append(connection, closing(str(number % 200)))
        assert journal.position_of(connection, closing("7")) == 7
        assert journal.position_of(connection, closing("none of them")) is None
        on_sqlite = connection.dialect.name == SQLITE
        if not on_sqlite:
            connection.execute(text("ANALYZE log_entries"))
        query = "SELECT min(position) FROM log_entries WHERE leaf_hash = :hash"
        explained = text(f"EXPLAIN {'QUERY PLAN' if on_sqlite else ''} {query}")
        plan = connection.execute(explained, {"hash": bytes(32)}).all()
    assert "ix_log_entries_leaf_hash" in str(plan)


def test_an_entry_disappears_with_the_change_that_failed(engine: Engine) -> None:
    def fail() -> None:
        with engine.begin() as connection:
            journal.append(connection, closing("lost"))
            raise ConflictError("the change failed")

    with pytest.raises(ConflictError):
        fail()
    with engine.begin() as connection:
        assert journal.append(connection, closing("kept")) == 0


def test_processes_that_write_at_once_leave_no_hole_and_lose_nothing(engine: Engine, url: str) -> None:
    names = ("first", "second", "third")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, name]) for name in names]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with engine.begin() as connection:
        entries = [entry for _, entry in journal.entries(connection)]
        assert journal.tree_head(connection).size == 75
    for name in names:
        mine = [entry.at for entry in entries if isinstance(entry, RequestClosed) and entry.reason == name]
        assert mine == list(range(25))


def test_a_position_taken_meanwhile_is_a_conflict(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.begin() as connection:
        journal.append(connection, closing("one"))
        monkeypatch.setattr(journal, "_LAST", journal._LAST.where(false()))
        with pytest.raises(ConflictError, match="at the same time"):
            journal.append(connection, closing("two"))


def test_a_removed_row_is_noticed_before_anything_is_signed(engine: Engine) -> None:
    with engine.begin() as connection:
        for reason in ("one", "two", "three"):
            journal.append(connection, closing(reason))
        connection.execute(delete(journal.log_entries).where(journal.log_entries.c.position == 1))
        with pytest.raises(NotAuthenticError, match="rows were removed"):
            journal.checkpoint(connection, Ed25519PrivateKey.generate(), HEX)


def test_the_exported_file_holds_the_rows_and_their_signed_head(engine: Engine) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    facts = SiteFacts(name="Klinikum Süd", signing_key="1a" * 32, log_key=public.hex(), owner_key="2b" * 32)
    with engine.begin() as connection:
        journal.append(connection, closing("a line\nand another"))
        journal.append(connection, closing("two"))
        bundle = read_bundle(journal.export_bundle(connection, key, facts, ()))
        assert list(bundle.entries) == journal.entry_bytes(connection)
        head = open_checkpoint(bundle.header.checkpoint.encode(), log_origin(facts.site), public).head
        assert head == journal.tree_head(connection)
    assert bundle.header.site == facts
