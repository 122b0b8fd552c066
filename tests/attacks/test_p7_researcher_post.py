"""P7, at the researcher's desk: one site or one relay that would fill its memory, silence others, or never end."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import researcher.correspondence
from datasites.protocol.content import in_letter
from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogReply, MaskedUpdateMessage, RoundRefused
from datasites.protocol.sealed import SealedMemory
from policies.errors import UnavailableError
from tests.researcher.test_correspondence import RUN, STUDY, Desk

KEPT, FLOOD = 50, 150


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(researcher.correspondence, "_KEPT_OF_A_SITE", KEPT)
    return Desk(tmp_path)


def answer(number: int) -> MaskedUpdateMessage:
    return MaskedUpdateMessage(
        study=STUDY,
        run=RUN,
        round=number,
        round_context="0" * 64,
        vector_digest="0" * 64,
        signature="0" * 128,
        update=in_letter((b"x",), 1),
    )


def flood(desk: Desk, first: int, message: MaskedUpdateMessage | RoundRefused | CatalogReply) -> None:
    for number in range(first, first + FLOOD):
        desk.writes(desk.cadiz, number, message)


def test_one_site_that_writes_without_end_pushes_out_nobody_elses_answer(desk: Desk) -> None:
    desk.writes(desk.bern, 1, answer(1))
    flood(desk, 1, RoundRefused(study="9" * 32, run=RUN, round=1, reason="No."))
    desk.writes(desk.bern, 2, answer(2))
    desk.letters.discard(lambda _card, _message: False, 0)
    assert len(desk.letters._waiting) <= KEPT + 2
    taken = desk.letters.collect(lambda _card, message: isinstance(message, MaskedUpdateMessage), bool, 0)
    assert [(card.party, message.round) for card, message in taken] == [(desk.bern.party, 1), (desk.bern.party, 2)]


def test_answering_the_same_round_without_end_fills_no_memory_while_another_is_awaited(desk: Desk) -> None:
    """Cadiz answers and answers the very round that is collected; it is the newest answers that stay."""
    seen: list[int] = []
    numbers = iter(range(1, 10))

    def complete(taken: list[object]) -> bool:
        seen.append(len(taken))
        place = next(numbers)
        if place < 5:
            flood(desk, 1 + place * FLOOD, answer(1))
        else:
            desk.writes(desk.bern, place, answer(1))
        return place == 7

    taken = desk.letters.collect(lambda _card, _message: True, complete, 60)
    assert max(seen) <= KEPT + 3
    assert {card.party for card, _ in taken} == {desk.bern.party, desk.cadiz.party}


@contextmanager
def trickling(reply: bytes, every: float) -> Iterator[str]:
    """A relay that answers each connection at once, and then gives a byte now and then, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=give, args=(connection,), daemon=True).start()

    def give(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(reply)
            while not stop.wait(every):
                connection.sendall(b"x")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.close()


def test_content_that_trickles_in_is_given_up_when_its_time_is_over(tmp_path: Path) -> None:
    """A byte every tenth of a second, so that the connection never looks dead: two days for a quarter of a megabyte."""
    reference = SealedMemory(bytes(256 * 1024)).reference
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {reference.sealed_size}\r\n\r\n"
    ada = Identity.create(tmp_path / "ada", "ada", "researcher")
    with trickling(head.encode(), 0.1) as url, Mailbox(ada, url) as box:
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            list(box.get_blob(reference, 2.0))
        assert time.monotonic() - began < 10
