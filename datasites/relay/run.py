"""Runs a relay: one process over one folder, telling its address in `relay.json` once it listens."""

import asyncio
import fcntl
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn

from datasites.protocol.private_files import make_private_folder, write_private_file
from datasites.relay.app import App
from datasites.relay.connections import Door, GuardedProtocol
from datasites.relay.quotas import Quotas
from policies.errors import ConflictError, InvalidInputError, UnavailableError
from policies.statements.canonical import canonical_bytes

_WAITING_CONNECTIONS = 1024
_KEPT_ALIVE_SECONDS = 75


def _say_nothing(_url: str) -> None:
    return


def run_relay(
    folder: Path,
    host: str,
    port: int,
    public_url: str | None = None,
    quotas: Quotas = Quotas(),  # noqa: B008 (frozen)
    *,
    announce: Callable[[str], None] = _say_nothing,
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
        _allow_open_files()
        app = App(folder, url, quotas)
        door = Door(quotas.strangers, quotas.connections)
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, door=door)),
            loop="uvloop",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="critical",  # what strangers send must not fill a log
            server_header=False,
            timeout_keep_alive=_KEPT_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        _AnnouncedServer(config, folder / "relay.json", url, announce, app).run(sockets=[listener])


def _allow_open_files() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _AnnouncedServer(uvicorn.Server):
    """Removes its announcement in `shutdown`: after that uvicorn raises the signal anew, which ends the process."""

    def __init__(
        self,
        config: uvicorn.Config,
        announcement: Path,
        url: str,
        announce: Callable[[str], None],
        relay: App,
    ) -> None:
        super().__init__(config)
        self._relay = relay
        self._announce = announce
        self._announcement = announcement
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        write_private_file(self._announcement, canonical_bytes({"url": self._url, "pid": os.getpid()}))
        self._announce(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._announcement.unlink(missing_ok=True)
        self._relay.end_waiting()
        await super().shutdown(sockets)
        self._relay.close()


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
        return socket.create_server((host, port), family=family, backlog=_WAITING_CONNECTIONS)
    except OSError as error:
        raise UnavailableError(f"Cannot listen on {host} port {port} ({error.strerror}); choose another.") from error


def _plain_url(host: str, listener: socket.socket) -> str:
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 (refused here)
        raise InvalidInputError("A relay that listens everywhere needs the public URL by which its members reach it.")
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
