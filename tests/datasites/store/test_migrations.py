"""The migrations make exactly the tables that the code declares, and make them once; on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, inspect, select, text
from sqlalchemy.schema import CreateTable

import datasites.store
from datasites.store.engine import open_engine
from datasites.store.migrate import migrate
from datasites.store.tables import metadata, peers
from tests.databases import SQLITE, empty_database
from tests.postgresql_server import new_database


@pytest.fixture
def engine(database: str, tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(empty_database(database, tmp_path))
    yield opened
    opened.dispose()


def test_migrations_and_tables_agree(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_constraints_and_indexes_agree_too(engine: Engine, database: str) -> None:
    """Alembic's comparison knows no check constraints: the two schemas are compared by name and text."""
    migrate(engine)
    declared = create_engine("sqlite://" if database == SQLITE else new_database())
    metadata.create_all(declared)
    for table in metadata.tables:
        for what in ("get_check_constraints", "get_unique_constraints", "get_foreign_keys", "get_indexes"):
            found = [
                sorted(getattr(inspect(one), what)(table), key=lambda it: str(it["name"])) for one in (engine, declared)
            ]
            assert found[0] == found[1], (table, what)
    declared.dispose()


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(peers.insert().values(party="a" * 64, name="ada", role="researcher", card="{}", pinned_at=1))
    before = _schema(engine)
    migrate(engine)
    assert _schema(engine) == before
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM peers")).scalar_one() == 1
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    folder = Path(datasites.store.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [version]


def test_a_migration_that_fails_leaves_no_table(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alembic.op.create_index", fail)  # after several tables
    with pytest.raises(KeyboardInterrupt):
        migrate(engine)
    assert inspect(engine).get_table_names() == []
    monkeypatch.undo()
    migrate(engine)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())


def test_rows_of_an_older_version_are_kept_and_its_log_is_dated(engine: Engine) -> None:
    """Each entry gets the latest moment that it or one before it names."""
    _migrate_to(engine, "0002")
    moments, party = (50, 70, 60), "a" * 64
    older = {
        "peers": {"party": party, "name": "bern", "role": "datasite", "card": "{}", "pinned_at": 1}
        | {"outgoing": 0, "incoming": 0},
        "witnesses": {"party": party, "asked_size": 3, "asked_at": 9, "kept_size": 3, "held_size": 3},
        "witnessed": {"party": party, "size": 7, "checkpoint": "c", "balance": "b"},
        "jobs": {"digest": "d" * 64, "number": 1, "job": "e" * 32, "sender": party, "name": "count"}
        | {"status": "pending", "detail": "?", "terms": "{}", "attempt": 0, "received_at": 5, "expires_at": 6},
    }
    log = [
        {"position": position, "entry": f'{{"at":{at}}}'.encode(), "leaf_hash": bytes([position]) * 32}
        for position, at in enumerate(moments)
    ]
    with engine.begin() as connection:
        found = MetaData()
        found.reflect(connection)
        for table, row in older.items():
            connection.execute(found.tables[table].insert().values(row))
        connection.execute(found.tables["log_entries"].insert(), log)
    migrate(engine)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for table, row in older.items():
            (kept,) = connection.execute(select(metadata.tables[table])).mappings().all()
            assert {name: value for name, value in kept.items() if value is not None} == row, table
        entries = metadata.tables["log_entries"]
        kept_log = connection.execute(select(entries).order_by(entries.c.position)).mappings().all()
    assert [dict(it) for it in kept_log] == [
        row | {"latest": latest} for row, latest in zip(log, (50, 70, 70), strict=True)
    ]


def _migrate_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(datasites.store.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _schema(engine: Engine) -> list[str]:
    found = MetaData()
    found.reflect(engine)
    return [str(CreateTable(table).compile(engine)) for table in found.sorted_tables]
