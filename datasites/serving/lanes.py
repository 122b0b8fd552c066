"""Lanes: each sender's letters are acted on in their order, side by side with the other senders'."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

MOST_WAITING_BYTES = 16 * 2**20
"""What one sender's letters may take in memory; those beyond stay at the relay, and hold up nobody else's."""

Guard = Callable[[Callable[[], None]], None]


class Lanes:
    """Hands letters to a thread for each sender, so that large content from one holds up nobody else's letters."""

    def __init__(self, take: Callable[[bytes], None], guard: Guard) -> None:
        """`take` acts on a letter; `guard` runs a thread's loop and ends the service with it if it fails."""
        self._take = take
        self._guard = guard
        self._lock = Lock()
        self._lanes: dict[str, SimpleQueue[tuple[int, bytes]]] = {}
        self._waiting_bytes: dict[str, int] = {}
        self._open: set[int] = set()
        self._done: set[int] = set()
        self._left: dict[str, int] = {}
        self._newest = 0

    def put(self, cursor: int, sender: str, envelope: bytes) -> None:
        """Let the letter at `cursor` be acted on after the earlier ones of its sender, or leave it at the relay."""
        with self._lock:
            self._newest = max(self._newest, cursor)
            if cursor in self._open or cursor in self._done:
                return
            if sender in self._left or self._waiting_bytes.get(sender, 0) >= MOST_WAITING_BYTES:
                self._left[sender] = min(cursor, self._left.get(sender, cursor))
                return
            self._open.add(cursor)
            self._waiting_bytes[sender] = self._waiting_bytes.get(sender, 0) + len(envelope)
            lane = self._lanes.get(sender)
            if lane is None:
                lane = self._lanes[sender] = SimpleQueue()
                Thread(target=self._guard, args=(lambda: self._serve(sender, lane),), daemon=True).start()
        lane.put((cursor, envelope))

    def seen(self) -> int:
        """The cursor behind which the relay is to be asked: before those letters of a sender that there is room for."""
        with self._lock:
            for sender in [it for it in self._left if not self._waiting_bytes[it]]:
                self._newest = min(self._newest, self._left.pop(sender) - 1)
            return self._newest

    @property
    def acted_on(self) -> int:
        """The cursor up to which every letter was acted on, so that the relay may forget them."""
        with self._lock:
            return min([self._newest + 1, *self._open, *self._left.values()]) - 1

    def _serve(self, sender: str, lane: SimpleQueue[tuple[int, bytes]]) -> None:
        while True:
            cursor, envelope = lane.get()
            self._take(envelope)
            with self._lock:
                self._waiting_bytes[sender] -= len(envelope)
                self._open.discard(cursor)
                self._done.add(cursor)
                first = min([*self._open, *self._left.values(), self._newest + 1])
                self._done = {it for it in self._done if it > first}
