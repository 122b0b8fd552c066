"""Lanes: each sender's letters are acted on in their order, side by side with the other senders'."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition, Thread

_MOST_WAITING_BYTES = 64 * 2**20

Guard = Callable[[Callable[[], None]], None]


class Lanes:
    """Hands letters to a thread for each sender, so that large content from one holds up nobody else's letters."""

    def __init__(self, take: Callable[[bytes], None], guard: Guard) -> None:
        """`take` acts on a letter; `guard` runs a thread's loop and ends the service with it if it fails."""
        self._take = take
        self._guard = guard
        self._lanes: dict[str, SimpleQueue[tuple[int, bytes]]] = {}
        self._changed = Condition()
        self._open: dict[int, int] = {}
        self._newest = 0

    def put(self, cursor: int, sender: str, envelope: bytes) -> None:
        """Let the letter at `cursor` be acted on after the earlier ones of its sender; waits while too much does."""
        with self._changed:
            self._changed.wait_for(lambda: sum(self._open.values()) < _MOST_WAITING_BYTES)
            self._open[cursor] = len(envelope)
            self._newest = cursor
        lane = self._lanes.get(sender)
        if lane is None:
            lane = self._lanes[sender] = SimpleQueue()
            Thread(target=self._guard, args=(lambda: self._serve(lane),), daemon=True).start()
        lane.put((cursor, envelope))

    @property
    def acted_on(self) -> int:
        """The cursor up to which every letter was acted on, so that the relay may forget them."""
        with self._changed:
            return min(self._open) - 1 if self._open else self._newest

    def _serve(self, lane: SimpleQueue[tuple[int, bytes]]) -> None:
        while True:
            cursor, envelope = lane.get()
            self._take(envelope)
            with self._changed:
                del self._open[cursor]
                self._changed.notify_all()
