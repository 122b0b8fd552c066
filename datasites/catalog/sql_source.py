"""A table in the owner's database: one SELECT, read in one transaction that can write to no table."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from datasites.store.database_url import DatabaseUrl
from policies.errors import InvalidInputError
from policies.statements.schema import describe_validation_error

MAXIMUM_CELL_BYTES = 2**20
"""The longest cell that is read; no column holds one that is nearly as long."""

Answer = TypeVar("Answer")

_TABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")
_SELECT = re.compile(r"(select|with)\b", re.IGNORECASE)
_ALLOWED_IN_SQLITE = frozenset(
    {
        sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)  # fmt: skip
# One query gives its rows in one order as often as it is asked: no scan joins another's, no workers race.
_SAME_ORDER = ("SET LOCAL synchronize_seqscans = off", "SET LOCAL max_parallel_workers_per_gather = 0")


@dataclass(frozen=True)
class SqlQuery:
    """What to read: `select`, one SELECT or the name of a table, in the database at `url`.

    url: `sqlite:////path` or `postgresql+psycopg://user@host/database`, without a password: a file that PGPASSFILE
        names has it, or the environment.
    """

    url: str
    select: str = field(repr=False)


@contextmanager
def connected(query: SqlQuery) -> Iterator[tuple[Connection, str]]:
    """Open the database; gives a connection and the statement to read with, as often as one likes: it sees one moment.

    What it may do is up to the database: in SQLite, whose file is opened read-only, nothing but to select; PostgreSQL
    takes the statement as that of a cursor in a read-only transaction, which must be a single SELECT. In it functions
    that act elsewhere than on tables (`pg_terminate_backend`, `dblink_exec`, `pg_read_file`) run if the role may call
    them: connect as one that may only SELECT.

    Raises:
        InvalidInputError: the URL or the query is not as described, or the database cannot be reached.
    """
    engine = _open(_checked_url(query.url))
    with answered(engine.connect) as connection:
        answered(partial(_begin, connection))
        yield connection, _statement(query.select, connection)


def answered(ask: Callable[[], Answer]) -> Answer:
    """What the database answers. Its errors end here: their texts may hold cells, or how the server is reached.

    Raises:
        InvalidInputError: naming the error's kind.
    """
    try:
        return ask()
    except (SQLAlchemyError, UnicodeError) as error:
        origin = getattr(error, "orig", None) or error
        kind = getattr(origin, "sqlite_errorname", None) or type(origin).__name__
    if kind == "SQLITE_TOOBIG":
        raise InvalidInputError(
            f"The query gives a cell that is longer than {MAXIMUM_CELL_BYTES} bytes; shorten it in the query."
        )
    raise InvalidInputError(
        f"The database did not answer the query ({kind}). Try URL and query in its own shell; the query must be one "
        "SELECT that only reads."
    )


def _checked_url(text: str) -> URL:
    url = _parsed(text)
    if url is not None and url.get_backend_name() == "postgresql":
        said = _fault(text)
        if said is not None:
            raise InvalidInputError(f"The URL of the database is not accepted: {said}.")
    elif url is None or url.drivername != "sqlite" or not url.database or url.query or not Path(url.database).is_file():
        raise InvalidInputError(
            "Tables are read from a PostgreSQL server (postgresql+psycopg://…) or from an SQLite file that is there "
            "(sqlite:////path); write the URL so."
        )
    return url


def _parsed(text: str) -> URL | None:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        return None


def _fault(text: str) -> str | None:
    try:
        TypeAdapter(DatabaseUrl).validate_python(text)
    except ValidationError as error:
        return describe_validation_error(error)
    return None


def _open(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        uri = f"{Path(str(url.database)).resolve().as_uri()}?mode=ro"
        connect = partial(sqlite3.connect, uri, uri=True, isolation_level=None)
        return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    try:
        return create_engine(url, connect_args={"client_encoding": "utf8"}, poolclass=NullPool, hide_parameters=True)
    except ImportError as error:
        raise InvalidInputError(
            "The driver for PostgreSQL is not installed; add it with «pip install 'cloister[postgresql]'»."
        ) from error


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for setting in _SAME_ORDER:
            connection.exec_driver_sql(setting)
    else:
        connection.exec_driver_sql("PRAGMA trusted_schema=OFF")
        connection.exec_driver_sql("BEGIN")
        file: Any = connection.connection.driver_connection
        file.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAXIMUM_CELL_BYTES)
        file.set_authorizer(_authorize)


def _authorize(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED_IN_SQLITE else sqlite3.SQLITE_DENY


def _statement(select: str, connection: Connection) -> str:
    text = select.strip()
    if _TABLE.fullmatch(text):
        quote = connection.dialect.identifier_preparer.quote
        return f"SELECT * FROM {'.'.join(quote(part) for part in text.split('.'))}"  # noqa: S608 – names, quoted
    if not _SELECT.match(text):
        raise InvalidInputError("The query is neither the name of a table nor one SELECT; nothing else is run.")
    return text
