"""Wakes a running service through a Unix socket, without content: what there is to do stands in the database."""

import contextlib
import socket
from collections.abc import Iterator

from datasites.store.home import Home


def wake(home: Home) -> None:
    """Tell a running service of this datasite to look at the database again; without one, nothing happens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker, contextlib.suppress(OSError):
        speaker.setblocking(False)
        speaker.sendto(b"\0", str(home.wake_socket))


def wake_calls(home: Home) -> Iterator[None]:
    """Listen for calls, one at a time, for ever."""
    home.wake_socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(home.wake_socket))
        home.wake_socket.chmod(0o600)
        while True:
            listener.recv(1)
            yield
