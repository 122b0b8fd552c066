"""A datasite's database on a PostgreSQL server.

A write transaction begins by taking one advisory lock for the whole database, and holds it until it has ended. The
code above is written for one writer at a time, as SQLite has it: so it means the same here, and no transaction has to
be tried again, as `SERIALIZABLE` would demand of code that also writes files. A datasite's transactions last
milliseconds. Writers run READ COMMITTED: each statement sees all that was committed before the lock was taken, and
nobody commits while it is held (under REPEATABLE READ waiting for the lock would itself fix an older moment). Readers
see one moment and wait for nobody.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from policies.errors import InvalidInputError

READS = "cloister_reads"
"""The execution option of a connection that takes no write lock."""

READING: dict[str, Any] = {READS: True, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Execution options of a connection that only reads."""

WATCHING: dict[str, Any] = {READS: True, "isolation_level": "AUTOCOMMIT"}
"""Execution options of a connection each of whose statements stands by itself."""

LOCK_SPACE = 0x436C6F69
"""The first half of the keys of this program's advisory locks."""

_WRITE_LOCK = 1
_SESSION_SETTINGS = (
    # Whatever the server's default is: a commit has reached the disk when it returns. One setting is stronger still.
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') <> 'remote_apply'",
    "SET lock_timeout = '60s'",
)


def open_engine(url: str) -> Engine:
    """Open `url` (`postgresql+psycopg://…`); a writer holds the database's write lock, and its commits are on disk.

    Raises:
        InvalidInputError: the driver is not installed; or, at the first use, the database does not hold Unicode.
    """
    try:
        engine = create_engine(
            url, isolation_level="READ COMMITTED", connect_args={"client_encoding": "utf8"}, hide_parameters=True
        )
    except ImportError as error:
        raise InvalidInputError(
            "The driver for PostgreSQL is not installed; add it with «pip install 'cloister[postgresql]'»."
        ) from error

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise InvalidInputError(f"The database has the encoding {encoding}; create one with the encoding UTF8.")
        for setting in _SESSION_SETTINGS:
            connection.execute(setting)
        connection.commit()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(READS):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {_WRITE_LOCK})")

    return engine


def forget_deleted(engine: Engine) -> None:
    """Free the room of spent mask keys, so that it is written over; no more can be done from here."""
    with engine.connect().execution_options(**WATCHING) as connection:
        connection.exec_driver_sql("VACUUM mask_keys")
