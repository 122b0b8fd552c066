"""Runs a relay: one process over one folder, telling its address in `relay.json` once it listens."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from datasites.protocol.private_files import make_private_folder, write_private_file
from datasites.relay.app import create_app
from policies.errors import ConflictError, InvalidInputError, UnavailableError
from policies.statements.canonical import canonical_bytes

_MOST_CONNECTIONS = 1024


def _say_nothing(_url: str) -> None:
    return


def run_relay(
    folder: Path, host: str, port: int, public_url: str | None = None, *, announce: Callable[[str], None] = _say_nothing
) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM); port 0 takes a free one.

    `public_url` is how members reach the relay where that is not `http://host:port`, as behind a TLS proxy: they sign
    their requests for exactly this URL. `announce` is called with the URL once the relay listens.

    Raises:
        ConflictError: another relay runs over this folder.
        InvalidInputError: the host is a wildcard, and no `public_url` says how members reach it.
        UnavailableError: the address cannot be listened on.
    """
    make_private_folder(folder)
    with _only_one(folder), _listening_socket(host, port) as listener:
        url = (public_url or _plain_url(host, listener)).rstrip("/")
        config = uvicorn.Config(
            create_app(folder, url),
            access_log=False,
            log_level="warning",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        _AnnouncedServer(config, folder / "relay.json", url, announce).run(sockets=[listener])


class _AnnouncedServer(uvicorn.Server):
    """Removes its announcement in `shutdown`: after that uvicorn raises the signal anew, which ends the process."""

    def __init__(self, config: uvicorn.Config, announcement: Path, url: str, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce
        self._announcement = announcement
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        write_private_file(self._announcement, canonical_bytes({"url": self._url, "pid": os.getpid()}))
        self._announce(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._announcement.unlink(missing_ok=True)
        await super().shutdown(sockets)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                f"Another relay runs over {folder}; stop it first, or choose another folder."
            ) from error
        yield


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_MOST_CONNECTIONS)
    except OSError as error:
        raise UnavailableError(f"Cannot listen on {host} port {port} ({error.strerror}); choose another.") from error


def _plain_url(host: str, listener: socket.socket) -> str:
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 (refused here)
        raise InvalidInputError("A relay that listens everywhere needs the public URL by which its members reach it.")
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
