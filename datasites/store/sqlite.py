"""A datasite's database as an SQLite file."""

from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

_BUSY_SECONDS = 60
_READS = "cloister_reads"
_HOLDS_TURN = "cloister_holds_turn"
READING: dict[str, Any] = {_READS: True}
"""Execution options of a connection that only reads."""


def open_engine(url: str) -> Engine:
    """Open `url` (`sqlite:///…`); every transaction takes the write lock at once and is on disk when it commits."""
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    turn = Lock()

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READS):
            connection.exec_driver_sql("BEGIN")
            return
        # Threads of one process take turns here; SQLite would let them sleep and try again.
        if not connection.info.get(_HOLDS_TURN):
            connection.info[_HOLDS_TURN] = turn.acquire(timeout=_BUSY_SECONDS)
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "checkin")
    def _give_up_turn(_connection: Any, record: Any) -> None:
        if record.info.pop(_HOLDS_TURN, False):
            turn.release()

    return engine


def forget_deleted(engine: Engine) -> None:
    """Take deleted rows out of the write-ahead log too; not while another process reads."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    finally:
        connection.close()
