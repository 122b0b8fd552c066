"""One serving process to a database: on PostgreSQL two homes, or two machines, might name the same one.

A session holds an advisory lock for as long as the process serves. Each write transaction of the process checks, under
the write lock, that this session still holds it. So when the session is lost, the process changes nothing any more: its
last transaction ended before anything that its successor did. (For SQLite the lock on the home folder is enough.)
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from datasites.store.postgresql import LOCK_SPACE, READS, WATCHING
from policies.errors import ConflictError

_SERVE_LOCK = 2
_LONGEST_WAIT_SECONDS = 5.0
_SECONDS_BETWEEN_LOOKS = 2.0
_SETTINGS = (
    # The server ends the session of a machine that vanished within a minute, so that another may serve.
    "SET tcp_keepalives_idle = 20",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
_HOLDS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = {pid} AND classid = {space} "
    "AND objid = {lock} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextmanager
def sole_server(engine: Engine, lost: Callable[[], None]) -> Iterator[None]:
    """Be the only process that serves this database; `lost` is called, from a thread, when that is over unasked.

    Raises:
        ConflictError: another process serves it.
        OperationalError: the server cannot be reached.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    with engine.connect().execution_options(**WATCHING) as session:
        session.detach()  # from the pool: closing it ends the session, and with it the lock
        for setting in _SETTINGS:
            session.exec_driver_sql(setting)
        _take_lock(session)
        pid = session.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        holds = _HOLDS.format(pid=pid, space=LOCK_SPACE, lock=_SERVE_LOCK)

        def check(connection: Connection) -> None:
            if not connection.get_execution_options().get(READS) and not _count(connection, holds):
                gone = ConnectionError("this process may not change the database any more, for it lost its place there")
                raise OperationalError("BEGIN", None, gone)

        ended = Event()
        watcher = Thread(target=_watch, args=(session, holds, ended, lost), daemon=True)
        event.listen(engine, "begin", check)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            event.remove(engine, "begin", check)


def _take_lock(session: Connection) -> None:
    # A process that was killed a moment ago may not be gone yet.
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not session.exec_driver_sql(f"SELECT pg_try_advisory_lock({LOCK_SPACE}, {_SERVE_LOCK})").scalar_one():
        if time.monotonic() >= deadline:
            raise ConflictError("Another process serves this datasite's database already; stop it first.")
        time.sleep(0.1)


def _watch(session: Connection, holds: str, ended: Event, lost: Callable[[], None]) -> None:
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
        try:
            held = _count(session, holds)
        except DBAPIError:
            held = 0
        if not held:
            lost()
            return


def _count(connection: Connection, holds: str) -> int:
    return int(connection.exec_driver_sql(holds).scalar_one())
