"""Several machines of one site, played on this one: a leader that listens, and followers that join it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from datasites.execution.follower_messages import Begin
from datasites.execution.followers import Followers
from datasites.execution.sealed_link import SECRET_BYTES, SealedLink


@dataclass(frozen=True)
class Leader:
    """Where followers join, and with which secret."""

    followers: Followers
    address: tuple[str, int]
    secret: bytes

    def joined_by(self, rank: int, secret: bytes | None = None) -> SealedLink:
        """The link of a follower that has just joined as `rank`."""
        connection = socket.create_connection(self.address)
        link = SealedLink(connection, secret or self.secret, rank=rank, calls=True, seconds=5)
        until(lambda: rank not in self.followers.missing(rank + 1))
        return link


@contextmanager
def listening() -> Iterator[Leader]:
    """A leader on this machine."""
    followers, secret = Followers(), os.urandom(SECRET_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=followers.listen, args=(server, secret), daemon=True).start()
        yield Leader(followers, server.getsockname(), secret)
        followers.close()


def begin(machines: int, round_seconds: int, shard_bytes: int = 10_000) -> Begin:
    """What the first follower is told."""
    return Begin(
        rank=1,
        count=machines,
        threads=1,
        memory_bytes=2**32,
        shard_bytes=shard_bytes,
        setup_seconds=60,
        round_seconds=round_seconds,
    )


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
