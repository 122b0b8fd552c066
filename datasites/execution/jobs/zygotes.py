"""The zygotes of a datasite: warm processes that run errands, each for one researcher only."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from datasites.sandbox.zygote import Zygote

_MOST_IDLE = 2


class Zygotes:
    """Zygotes by researcher. Few are kept warm when nothing runs: those that were used last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[tuple[str, Zygote]] = []
        self._ended = False

    @contextmanager
    def of(self, researcher: str) -> Iterator[Zygote]:
        """A zygote that never served anybody but `researcher`, for as long as the block lasts.

        Raises:
            RefusedError: this machine cannot shut a job off well enough.
        """
        zygote = self._taken(researcher)
        if zygote is None:
            zygote = Zygote()
            zygote.__enter__()
        try:
            yield zygote
        finally:
            self._give_back(researcher, zygote)

    def end_all(self) -> None:
        """End those that are idle, and each other one once it is given back."""
        with self._lock:
            self._ended, idle, self._idle = True, self._idle, []
        for _, zygote in idle:
            zygote.__exit__(None, None, None)

    def _taken(self, researcher: str) -> Zygote | None:
        with self._lock:
            place = next((place for place, (whose, _) in enumerate(self._idle) if whose == researcher), None)
            found = None if place is None else self._idle.pop(place)[1]
        if found is not None and found.ended:
            found.__exit__(None, None, None)
            return None
        return found

    def _give_back(self, researcher: str, zygote: Zygote) -> None:
        surplus = [zygote]
        if not zygote.ended:
            with self._lock:
                if not self._ended:
                    self._idle.insert(0, (researcher, zygote))
                    surplus = [it for _, it in self._idle[_MOST_IDLE:]]
                    del self._idle[_MOST_IDLE:]
        for one in surplus:
            one.__exit__(None, None, None)
