"""The migrations make exactly the tables that the code declares, and make them once."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

import datasites.store
from datasites.store.engine import open_engine
from datasites.store.migrate import migrate
from datasites.store.tables import metadata, peers


def new_database(folder: Path) -> Engine:
    return open_engine(f"sqlite:///{folder / 'datasite.sqlite'}")


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    engine = new_database(tmp_path)
    migrate(engine)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_constraints_and_indexes_agree_too(tmp_path: Path) -> None:
    """SQLite's comparison knows no check constraints: the two schemas are compared by name and text."""
    migrated, declared = new_database(tmp_path), open_engine("sqlite://")
    migrate(migrated)
    metadata.create_all(declared)
    for table in metadata.tables:
        for what in ("get_check_constraints", "get_unique_constraints", "get_foreign_keys", "get_indexes"):
            found = [
                sorted(getattr(inspect(engine), what)(table), key=lambda it: str(it["name"]))
                for engine in (migrated, declared)
            ]
            assert found[0] == found[1], (table, what)


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = new_database(tmp_path)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(peers.insert().values(party="a" * 64, name="ada", role="researcher", card="{}", pinned_at=1))
        before = connection.execute(text("SELECT * FROM sqlite_schema ORDER BY name")).all()
    migrate(engine)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT * FROM sqlite_schema ORDER BY name")).all() == before
        assert connection.execute(text("SELECT count(*) FROM peers")).scalar_one() == 1
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    folder = Path(datasites.store.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [version]
