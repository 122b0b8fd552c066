"""A real relay process keeps mail and blobs for members through restarts, and wakes who waits."""

import contextlib
import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datasites.protocol.blobs import open_blob
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogRequest, StudyClose
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import SealedMemory
from datasites.relay.run import run_relay
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError

Boxes = dict[str, Mailbox]
People = dict[str, Identity]


def test_letters_arrive_in_order_and_go_when_acknowledged(boxes: Boxes, people: People) -> None:
    ada, bob = people["ada"], people["bob"]
    for number in (1, 2, 3):
        boxes["ada"].send([seal(ada, bob.card, number, CatalogRequest())])
    letters = boxes["bob"].receive(0, 0)
    opened = [open_envelope(bob, data, {ada.party: ada.card}.get) for _, data in letters]
    assert [letter.number for letter in opened] == [1, 2, 3]
    assert boxes["bob"].receive(0, 0) == letters
    assert [cursor for cursor, _ in boxes["bob"].receive(letters[0][0], 0)] == [letters[1][0], letters[2][0]]
    assert boxes["bob"].receive(letters[1][0], 0) == boxes["bob"].receive(0, 0) == letters[2:]
    assert boxes["ada"].receive(0, 0) == boxes["eve"].receive(0, 0) == []


def test_sending_again_changes_nothing(boxes: Boxes, people: People) -> None:
    letter = seal(people["ada"], people["bob"].card, 1, CatalogRequest())
    boxes["ada"].send([letter])
    boxes["ada"].send([letter])
    assert [data for _, data in boxes["bob"].receive(0, 0)] == [letter]


def test_waiting_ends_when_mail_comes_and_not_before_its_time(boxes: Boxes, people: People) -> None:
    started = time.monotonic()
    assert boxes["bob"].receive(0, 0.4) == []
    assert 0.4 <= time.monotonic() - started < 5
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(boxes["bob"].receive, 0, 20) for _ in range(3)]
        time.sleep(0.5)
        assert not any(future.done() for future in waiting)
        started = time.monotonic()
        boxes["ada"].send([seal(people["ada"], people["bob"].card, 1, CatalogRequest())])
        assert all(len(future.result(10)) == 1 for future in waiting)
        assert time.monotonic() - started < 5


def test_more_waiting_requests_than_allowed_are_answered_at_once(boxes: Boxes) -> None:
    with ThreadPoolExecutor(12) as pool:
        started = time.monotonic()
        waits = [pool.submit(_timed, boxes["bob"], 1.5) for _ in range(12)]
        seconds = sorted(future.result(20) for future in waits)
    assert time.monotonic() - started < 10
    assert sum(second >= 1.5 for second in seconds) == 8


def _timed(box: Mailbox, wait_seconds: float) -> float:
    started = time.monotonic()
    assert box.receive(0, wait_seconds) == []
    return time.monotonic() - started


def test_large_batches_come_in_parts(boxes: Boxes, people: People) -> None:
    ada, bob = people["ada"], people["bob"]
    reason = "r" * 2000
    for number in range(1, 106):
        boxes["ada"].send([seal(ada, bob.card, number, StudyClose(study="0" * 32, reason=reason))])
    first = boxes["bob"].receive(0, 0)
    second = boxes["bob"].receive(first[-1][0], 0)
    assert (len(first), len(second)) == (100, 5)


@pytest.mark.parametrize("size", [0, 5, 3 * 1024 * 1024 + 17])
def test_blobs_come_back_for_any_member_who_knows_the_digest(boxes: Boxes, size: int) -> None:
    content = secrets.token_bytes(size)
    sealed = SealedMemory(content)
    reference = sealed.reference
    boxes["ada"].put_blob(sealed, 0)
    boxes["ada"].put_blob(sealed, 0)
    assert open_blob(reference, boxes["eve"].get_blob(reference, 0), size) == content
    with pytest.raises(RefusedError, match="does not have"):
        list(boxes["eve"].get_blob(reference.model_copy(update={"digest": "0" * 64}), 0))
    if size:
        with pytest.raises(UnavailableError, match="larger"):
            list(boxes["eve"].get_blob(reference.model_copy(update={"size": size - 1}), 0))
    with pytest.raises(UnavailableError, match="less"):
        list(boxes["eve"].get_blob(reference.model_copy(update={"size": size + 1}), 0))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_mail_and_blobs_survive_a_restart(relay: Any, boxes: Boxes, people: People, number: signal.Signals) -> None:
    letter = seal(people["ada"], people["bob"].card, 1, CatalogRequest())
    sealed = SealedMemory(b"model")
    boxes["ada"].send([letter])
    boxes["ada"].put_blob(sealed, 0)
    relay.stop(number)
    assert (relay.folder / "relay.json").exists() == (number == signal.SIGKILL)
    with pytest.raises(UnavailableError):
        boxes["bob"].receive(0, 0)
    relay.start()
    assert [data for _, data in boxes["bob"].receive(0, 0)] == [letter]
    assert list(boxes["bob"].get_blob(sealed.reference, 0)) == list(sealed.pieces(0))


def test_what_a_crash_left_of_an_upload_is_cleared(relay: Any, boxes: Boxes) -> None:
    boxes["ada"].put_blob(SealedMemory(b"model"), 0)
    relay.stop()
    (relay.folder / "blobs" / "incoming-00").write_bytes(b"half")
    (relay.folder / "blobs" / ("0" * 64)).write_bytes(b"no row")
    relay.start()
    assert len(list((relay.folder / "blobs").iterdir())) == 1


def test_many_threads_share_one_mailbox(boxes: Boxes, people: People) -> None:
    ada, bob = people["ada"], people["bob"]
    letters = [seal(ada, bob.card, number, CatalogRequest()) for number in range(1, 25)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda letter: boxes["ada"].send([letter]), letters))
    received = boxes["bob"].receive(0, 0)
    assert {data for _, data in received} == set(letters)
    assert len({cursor for cursor, _ in received}) == 24


def test_letters_too_large_and_for_nobody_are_refused(boxes: Boxes, people: People) -> None:
    with pytest.raises(RefusedError):
        boxes["ada"].send([bytes(2 * 1024 * 1024 + 1)])
    letter = seal(people["ada"], people["stranger"].card, 1, CatalogRequest())
    known = seal(people["ada"], people["bob"].card, 1, CatalogRequest())
    assert boxes["ada"].send([letter, known]) == [Fate.NO_MAILBOX, Fate.TAKEN]
    with pytest.raises(NotAuthenticError):
        boxes["stranger"].receive(0, 0)


def test_a_clock_that_is_off_is_named(relay: Any, people: People, boxes: Boxes) -> None:
    for offset in (-400, 400):
        with (
            Mailbox(people["ada"], relay.url, clock=lambda offset=offset: time.time() + offset) as box,
            pytest.raises(UnavailableError, match="clock"),
        ):
            box.receive(0, 0)


def test_a_folder_has_one_relay_and_a_wildcard_needs_a_url(relay: Any, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from datasites.relay.run import run_relay; "
        "run_relay(Path(sys.argv[1]), '127.0.0.1', 0)"
    )
    second = subprocess.run([sys.executable, "-c", program, str(relay.folder)], capture_output=True, check=False)
    assert b"ConflictError" in second.stderr
    with pytest.raises(InvalidInputError, match="public URL"):
        run_relay(tmp_path / "other", "::", 0)
    port = int(relay.url.rpartition(":")[2])
    with pytest.raises(UnavailableError, match="Cannot listen"):
        run_relay(tmp_path / "other", "127.0.0.1", port)
    assert json.loads((relay.folder / "relay.json").read_bytes())["url"] == relay.url


def test_stopping_ends_waiting_requests(relay: Any, boxes: Boxes) -> None:
    ended = threading.Event()

    def wait() -> None:
        with contextlib.suppress(UnavailableError):
            assert boxes["bob"].receive(0, 25) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    relay.stop()
    assert time.monotonic() - started < 10
    thread.join(10)
    assert ended.is_set()
