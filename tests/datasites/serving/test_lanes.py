"""Lanes: one sender's letters stay in order, nobody waits for another's, and only what was acted on is forgotten."""

import threading
from collections.abc import Callable

import pytest

from datasites.serving import lanes
from datasites.serving.lanes import Lanes

SECONDS = 20


class Site:
    """Acts on letters; those that begin with `slow` wait until it is told to go on."""

    def __init__(self) -> None:
        self.acted: list[bytes] = []
        self.goes_on = threading.Event()
        self.changed = threading.Condition()
        self.ended: list[BaseException] = []

    def take(self, envelope: bytes) -> None:
        if envelope == b"broken":
            raise RuntimeError("a defect")
        if envelope.startswith(b"slow"):
            assert self.goes_on.wait(SECONDS)
        with self.changed:
            self.acted.append(envelope)
            self.changed.notify_all()

    def guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except RuntimeError as error:
            with self.changed:
                self.ended.append(error)
                self.changed.notify_all()

    def until(self, what: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, SECONDS)


def forgettable(lanes: Lanes, cursor: int) -> bool:
    """Whether the relay may forget up to `cursor`, at the latest a moment after the letter was acted on."""
    deadline = threading.Event()
    for _ in range(200):
        if lanes.acted_on >= cursor:
            return True
        deadline.wait(0.02)
    return False


def test_who_is_slow_holds_up_nobody_else_and_only_what_was_acted_on_is_forgotten() -> None:
    site = Site()
    lanes = Lanes(site.take, site.guard)
    letters = [("ada", b"slow 1"), ("eve", b"2"), ("ada", b"3"), ("eve", b"4")]
    for cursor, (sender, letter) in enumerate(letters, start=10):
        lanes.put(cursor, sender, letter)
    site.until(lambda: site.acted == [b"2", b"4"])
    assert lanes.acted_on == 9
    site.goes_on.set()
    site.until(lambda: site.acted == [b"2", b"4", b"slow 1", b"3"])
    assert forgettable(lanes, 13)
    assert lanes.acted_on == 13


def test_a_failing_lane_ends_the_service_and_its_letter_is_not_forgotten() -> None:
    site = Site()
    lanes = Lanes(site.take, site.guard)
    lanes.put(1, "ada", b"1")
    assert forgettable(lanes, 1)
    lanes.put(2, "ada", b"broken")
    lanes.put(3, "eve", b"3")
    site.until(lambda: bool(site.ended) and site.acted == [b"1", b"3"])
    assert lanes.acted_on == 1


def test_what_one_sender_has_beyond_its_room_stays_at_the_relay_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "MOST_WAITING_BYTES", 10)
    site = Site()
    held = Lanes(site.take, site.guard)
    letters = {1: ("ada", b"slow letter"), 2: ("ada", b"second"), 3: ("eve", b"3"), 4: ("ada", b"fourth")}
    for cursor, (sender, letter) in letters.items():
        held.put(cursor, sender, letter)
    site.until(lambda: site.acted == [b"3"])
    assert (held.seen(), held.acted_on) == (4, 0), "ada's second letter is asked for again when there is room"
    site.goes_on.set()
    site.until(lambda: site.acted == [b"3", b"slow letter"])
    assert forgettable(held, 1)
    assert held.acted_on == 1
    assert held.seen() == 1
    for cursor in (2, 3, 4):
        held.put(cursor, *letters[cursor])
    site.until(lambda: site.acted == [b"3", b"slow letter", b"second", b"fourth"])
    assert forgettable(held, 4)
    assert held.seen() == 4
