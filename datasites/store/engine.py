"""Opens the datasite's database so that a commit is durable and two processes never interleave their changes."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

_BUSY_SECONDS = 60


def open_engine(url: str) -> Engine:
    """Open `url` (`sqlite:///…`); every transaction takes the write lock at once and is on disk when it commits."""
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def forget_deleted(engine: Engine) -> None:
    """Take deleted rows, such as spent mask keys, out of the write-ahead log too; not while another process reads."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    finally:
        connection.close()
