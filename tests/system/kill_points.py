"""Named points in a running process at which it, or its trainer, is killed with SIGKILL; armed from outside by a file.

A point is `before:NAME`, `after:NAME` or `middle:NAME`. The product knows nothing of them: they are put round its
functions by `site_points`, `relay_points` and `researcher_points`, in a process that `killable` starts.
"""

import functools
import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.system.waiting import children_of

ANY = "any"
"""As a point: whichever point is reached next."""


@dataclass(frozen=True)
class Shot:
    """Kill the `victim` (the process itself, or its children) when `point` is reached for the `count`-th time."""

    point: str
    count: int = 1
    victim: str = "process"


def arm(folder: Path, shot: Shot) -> None:
    """Arm the process whose kill points watch `folder`, running or yet to start."""
    folder.joinpath("killed").unlink(missing_ok=True)
    draft = folder / f".{secrets.token_hex(8)}"
    draft.write_text(json.dumps(asdict(shot) | {"token": draft.name}))
    draft.rename(folder / "armed")


def disarm(folder: Path) -> None:
    """Let the process live."""
    folder.joinpath("armed").unlink(missing_ok=True)


def was_killed(folder: Path) -> bool:
    """Whether the last shot was fired."""
    return folder.joinpath("killed").exists()


class KillPoints:
    """The points of this process; `folder` is where it is armed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._token, self._met = "", 0
        self._thread = threading.local()

    def reach(self, point: str) -> None:
        """Say that `point` is reached; perhaps the last thing that this process does."""
        armed = self._folder / "armed"
        with self._lock:
            try:
                values = json.loads(armed.read_text())
            except FileNotFoundError:
                return
            if (token := values.pop("token")) != self._token:
                self._token, self._met = token, 0
            shot = Shot(**values)
            if shot.point not in (point, ANY):
                return
            self._met += 1
            if self._met < shot.count:
                return
            victims = [os.getpid()] if shot.victim == "process" else children_of(os.getpid())
            if not victims:
                return
            self._folder.joinpath("where").write_text(point)
            armed.rename(self._folder / "killed")
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def around(self, owner: Any, name: str, point: str) -> None:
        """Put `before:point` and `after:point` round a function of a module or class."""
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def watched(*arguments: Any, **named: Any) -> Any:
            self.reach(f"before:{point}")
            given = plain(*arguments, **named)
            self.reach(f"after:{point}")
            return given

        setattr(owner, name, watched)

    def inside(self, pieces: Iterable[Any], point: str) -> Iterator[Any]:
        """Hand on `pieces`, with `middle:point` behind each but the last."""
        steps = iter(pieces)
        with suppress(StopIteration):
            piece = next(steps)
            while True:
                yield piece
                piece = next(steps)
                self.reach(f"middle:{point}")

    def mark(self, owner: Any, name: str, word: str, matters: Callable[[Any], bool] = lambda _given: True) -> None:
        """Name the transaction in which this function is called: its commit becomes `before:word` and `after:word`."""
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def marking(*arguments: Any, **named: Any) -> Any:
            given = plain(*arguments, **named)
            if matters(given):
                self._words().add(word)
            return given

        setattr(owner, name, marking)

    def before_commit(self) -> None:
        """A transaction of this thread is about to be committed."""
        for word in ("commit", *sorted(self._words())):
            self.reach(f"before:{word}")

    def after_commit(self) -> None:
        """It is on disk."""
        words = ("commit", *sorted(self._words()))
        self.forget_marks()
        for word in words:
            self.reach(f"after:{word}")

    def forget_marks(self) -> None:
        """It was undone."""
        self._words().clear()

    def _words(self) -> set[str]:
        if not hasattr(self._thread, "words"):
            self._thread.words = set()
        words: set[str] = self._thread.words
        return words
