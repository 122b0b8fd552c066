"""The followers that have joined a leader and wait for a study: one idle link for each rank, checked before use."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from datasites.execution.sealed_link import SealedLink
from datasites.serving.lifecycle import report
from policies.errors import CloisterError, UnavailableError
from policies.rules.house_rules import MOST_MACHINES

_PROOF_SECONDS = 10.0
_PROOFS_AT_ONCE = 64
_PAUSE_SECONDS = 1.0


class Followers:
    """Idle links by rank; used from the threads of the service. Without `listen` nobody joins."""

    def __init__(self) -> None:
        self._idle: dict[int, SealedLink] = {}
        self._lock = threading.Lock()
        self._proofs = threading.Semaphore(_PROOFS_AT_ONCE)
        self._closed = threading.Event()
        self._server: socket.socket | None = None
        self.joined: Callable[[], None] = lambda: None
        """Called whenever a follower has joined: a round may be waiting for it."""

    def missing(self, machines: int) -> list[int]:
        """The ranks, of followers of so many machines with the leader's, of which nobody waits for a study."""
        with self._lock:
            return [rank for rank in range(1, machines) if self._there(rank) is None]

    def take(self, machines: int) -> list[SealedLink]:
        """The links to all followers of so many machines, in the order of their ranks; they are the caller's.

        Raises:
            UnavailableError: one is not there.
        """
        with self._lock:
            found = [self._there(rank) for rank in range(1, machines)]
            links = [link for link in found if link is not None]
            if len(links) < len(found):
                raise UnavailableError("Not all of the site's machines that train this study are there.")
            for link in links:
                del self._idle[link.other]
            return links

    def listen(self, server: socket.socket, secret: bytes) -> None:
        """Let whoever holds `secret` join through the listening `server`, until `close`.

        Everybody else is let go after some seconds. As none but those who hold it get any further, those who do not can
        at most keep others from joining.
        """
        self._server = server
        while not self._closed.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                self._closed.wait(_PAUSE_SECONDS)
                continue
            self._proofs.acquire()
            threading.Thread(target=self._meet, args=(connection, secret), daemon=True).start()

    def close(self) -> None:
        """Let nobody else join, and all go that wait."""
        self._closed.set()
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for the next one
        with self._lock:
            while self._idle:
                self._idle.popitem()[1].close()

    def _meet(self, connection: socket.socket, secret: bytes) -> None:
        try:
            link = SealedLink(connection, secret, rank=0, calls=False, seconds=_PROOF_SECONDS)
        except (CloisterError, OSError):
            return  # not told on the terminal, which a neighbour could fill
        finally:
            self._proofs.release()
        if not 1 <= link.other < MOST_MACHINES:
            link.close()
            return
        with self._lock:
            # The newest is the one that is there: an older one may have lost its machine without a word.
            older, self._idle[link.other] = self._idle.get(link.other), link
            if older is not None:
                older.close()
        report(f"Machine {link.other} of this site is there.")
        self.joined()

    def _there(self, rank: int) -> SealedLink | None:
        """The idle link of `rank`; one that is gone, or speaks though it was not asked, is let go."""
        link = self._idle.get(rank)
        if link is None:
            return None
        poll = select.poll()
        poll.register(link, select.POLLIN)
        if not poll.poll(0):
            return link
        del self._idle[rank]
        link.close()
        report(f"Machine {rank} of this site is gone.")
        return None
