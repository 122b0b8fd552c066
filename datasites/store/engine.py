"""Opens the datasite's database, SQLite or PostgreSQL: a commit is durable, and two changes never interleave.

`datasites.store.sqlite` and `datasites.store.postgresql` keep this contract, each by its own means: a write
transaction begins by taking the database's one write lock, whoever else writes waits until it has ended, and when a
commit returns it is on disk; a transaction that only reads sees one moment and waits for no writer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, make_url

from datasites.store import postgresql, sqlite

_OPEN = {"sqlite": sqlite.open_engine, "postgresql": postgresql.open_engine}
_READING = {"sqlite": sqlite.READING, "postgresql": postgresql.READING}
_FORGET_DELETED = {"sqlite": sqlite.forget_deleted, "postgresql": postgresql.forget_deleted}


def open_engine(url: str) -> Engine:
    """Open `url`: `sqlite:///…` or `postgresql+psycopg://…`.

    Raises:
        InvalidInputError: the PostgreSQL driver is not installed.
    """
    return _OPEN[make_url(url).get_backend_name()](url)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: it sees one moment of the database and waits for no writer."""
    with engine.connect().execution_options(**_READING[engine.dialect.name]) as connection, connection.begin():
        yield connection


def forget_deleted(engine: Engine) -> None:
    """Take deleted rows, such as spent mask keys, out of what the database keeps beside its tables, as far as it can.

    SQLite forgets all, if no other process reads just now. What PostgreSQL keeps stands in `docs/threat-model.md`.
    """
    _FORGET_DELETED[engine.dialect.name](engine)
