"""Databases for tests: an SQLite file, or a PostgreSQL database that the tests of one process use one after another."""

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, select, text

from datasites.store.engine import open_engine, reading
from datasites.store.migrate import migrate
from datasites.store.tables import metadata
from tests.postgresql_server import new_database

SQLITE, POSTGRESQL = "sqlite", "postgresql"
DATABASES = (SQLITE, POSTGRESQL)
"""The kinds that the store's tests run on, and what is marked `both_databases`."""


def empty_database(kind: str, folder: Path) -> str:
    """The URL of a database without tables; the SQLite file lies in `folder`."""
    if kind == SQLITE:
        return f"sqlite:///{folder / 'test.sqlite'}"
    url = _empty()
    _alone(engine := open_engine(url))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


def filled_database(source: Path) -> str:
    """The URL of a PostgreSQL database with the rows of the datasite's SQLite file `source`, and no others."""
    url = _migrated()
    engine, original = open_engine(url), open_engine(f"sqlite:///{source}")
    _alone(engine)
    with reading(original) as old, engine.begin() as new:
        new.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in old.execute(select(table)).mappings()]
            if rows:
                new.execute(table.insert(), rows)
    engine.dispose()
    original.dispose()
    return url


def check_no_references(connection: Connection) -> None:
    """Let a transaction that tampers with rows leave references to rows that are not there; in SQLite until its end."""
    connection.execute(
        text(
            "PRAGMA defer_foreign_keys=ON"
            if connection.dialect.name == SQLITE
            else "SET LOCAL session_replication_role = replica"
        )
    )


@cache
def _empty() -> str:
    return new_database()


@cache
def _migrated() -> str:
    url = new_database()
    migrate(engine := open_engine(url))
    engine.dispose()
    return url


def _alone(engine: Engine) -> None:
    """End what earlier tests have left open."""
    with engine.connect().execution_options(cloister_reads=True) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
