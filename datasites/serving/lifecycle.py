"""Small things that a running service needs: pauses that grow, one process a datasite, reports on stderr."""

import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from datasites.store.home import Home
from policies.errors import ConflictError

_SHORTEST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0


class Pause:
    """How long to wait after each failure in a row: half a second at first, a quarter of a minute at most."""

    def __init__(self) -> None:
        self._seconds = _SHORTEST_PAUSE_SECONDS
        self._until = 0.0

    def next(self) -> float:
        """Begin the next pause; gives its seconds."""
        seconds = self._seconds
        self._until = time.monotonic() + seconds
        self._seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        return seconds

    def seconds_left(self) -> float:
        """What is left of the pause that was begun last; 0 or less when it is over."""
        return self._until - time.monotonic()

    def reset(self) -> None:
        """Start again with the shortest, after a success."""
        self._seconds = _SHORTEST_PAUSE_SECONDS


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Hold the datasite's lock, so that no second process serves it.

    Raises:
        ConflictError: another process does.
    """
    with (home.folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(f"Another process serves {home.folder} already; stop it first.") from error
        yield


def report(sentence: str) -> None:
    """Tell the operator something, on one line of stderr without control characters."""
    sys.stderr.write("".join(letter if letter.isprintable() else "\ufffd" for letter in sentence) + "\n")
    sys.stderr.flush()


def sentence_of(error: Exception) -> str:
    """What an error says, on one line: the database's own add their statement behind it."""
    return str(error).split("\n", 1)[0]
