"""P7, at the relay's door: strangers get nothing in, and a member can neither pass for another nor touch its mail."""

import hashlib
import secrets
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from datasites.protocol.blobs import blob_digest
from datasites.protocol.sealed import SealedMemory
from tests.attacks.relay_scene import Scene, batch, letter, running_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_scene(tmp_path_factory.mktemp("p7")) as scene:
        yield scene


@pytest.fixture
def empty(scene: Scene) -> Scene:
    scene.empty_mailboxes()
    return scene


def test_a_stranger_gets_403_and_nothing_is_written(empty: Scene) -> None:
    before = [(path.name, path.stat().st_size) for path in sorted((empty.folder / "blobs").iterdir())]
    body = secrets.token_bytes(100_000)
    target = f"/blobs/{blob_digest(body)}?offset=0&size={len(body)}"
    attempts = [
        ({}, "PUT", target, body),
        (empty.signed("stranger", "PUT", target, body), "PUT", target, body),
        (empty.signed("stranger", "PUT", target, body, party=empty.people["ada"].party), "PUT", target, body),
        (empty.signed("stranger", "GET", "/mail?after=0&forget=0&wait=0"), "GET", "/mail?after=0&forget=0&wait=0", b""),
        (empty.signed("stranger", "POST", "/mail", body), "POST", "/mail", body),
        (empty.signed("stranger", "GET", "/mail?after=9&forget=9&wait=0"), "GET", "/mail?after=9&forget=9&wait=0", b""),
    ]
    replies = {empty.ask(*attempt) for attempt in attempts}
    assert {status for status, _ in replies} == {403}
    assert len(replies) == 1
    assert before == [(path.name, path.stat().st_size) for path in sorted((empty.folder / "blobs").iterdir())]


def test_a_strangers_body_is_not_awaited(empty: Scene) -> None:
    address = urlsplit(empty.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as connection:
        head = f"PUT /blobs/{'0' * 64} HTTP/1.1\r\nhost: relay\r\ncontent-length: 1000000000\r\n\r\n"
        connection.sendall(head.encode() + b"only this")
        reply = b""
        while piece := connection.recv(4096):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 403")


def test_a_request_cannot_be_replayed_even_after_a_restart(empty: Scene) -> None:
    body, target = batch(letter(empty)), "/mail"
    headers = empty.signed("ada", "POST", target, body, time=int(time.time()) + 250)  # by a clock that is ahead
    assert empty.ask(headers, "POST", target, body)[0] == 200
    assert empty.ask(headers, "POST", target, body)[0] == 401
    empty.restart()
    assert empty.ask(headers, "POST", target, body)[0] == 401
    with empty.box("bob") as box:
        assert len(box.receive(0, 0)) == 1


def test_a_signed_request_serves_for_nothing_else(empty: Scene) -> None:
    mine, yours = batch(letter(empty)), batch(letter(empty, 2))
    target = "/mail"

    def status(headers: dict[str, str], method: str = "POST", to: str = target, body: bytes = mine) -> int:
        return empty.ask(headers, method, to, body)[0]

    assert status(empty.signed("ada", "POST", target, mine), body=yours) == 400
    assert status(empty.signed("ada", "POST", target, mine), to="/mail/x") == 403
    assert status(empty.signed("ada", "POST", target, mine), to=target + "?x=1") == 403
    assert status(empty.signed("ada", "PUT", target, mine)) == 403
    assert status(empty.signed("ada", "POST", target, mine, audience="http://127.0.0.1:1")) == 403
    assert status(empty.signed("ada", "POST", target, mine, time=int(time.time()) - 301)) == 401
    other_session = empty.signed("ada", "POST", target, mine, session="0" * 32)
    assert status(other_session) == 401
    assert status(other_session | {"cloister-session": empty.session()}) == 403
    for header in ("cloister-nonce", "cloister-time", "cloister-body"):
        headers = empty.signed("ada", "POST", target, mine)
        headers[header] = empty.signed("ada", "POST", target, yours, time=1)[header]
        assert status(headers) == 403
    with empty.box("bob") as box:
        assert box.receive(0, 0) == []


def test_a_member_cannot_send_in_anothers_name_nor_read_or_erase_anothers_mail(empty: Scene) -> None:
    target, sealed = "/mail", letter(empty)
    body = batch(letter(empty, sender="eve"), sealed)
    assert empty.ask(empty.signed("eve", "POST", target, body), "POST", target, body)[0] == 400
    with empty.box("ada") as ada, empty.box("eve") as eve, empty.box("bob") as bob:
        ada.send([sealed])
        assert eve.receive(0, 0) == eve.receive(2**53 - 1, 0) == []
        assert [data for _, data in bob.receive(0, 0)] == [sealed]
        for attempt in (
            f"/mail/{empty.people['bob'].party}?after=0&forget=0&wait=0",
            f"/mail?after=0&forget=0&wait=0&party={empty.people['bob'].party}",
        ):
            status, reply = empty.ask(empty.signed("eve", "GET", attempt), "GET", attempt)
            assert status in (400, 404)
            assert sealed not in reply


def test_a_member_cannot_store_under_a_digest_that_is_not_the_contents(empty: Scene) -> None:
    sealed = SealedMemory(b"the real model")
    reference, ciphertext = sealed.reference, b"".join(sealed.pieces(0))
    planted = b"something else"
    target = f"/blobs/{reference.digest}?offset=0&size={len(planted)}"
    for announced in (hashlib.sha256(planted).hexdigest(), reference.digest):
        headers = empty.signed("eve", "PUT", target, planted, body_digest=announced)
        assert empty.ask(headers, "PUT", target, planted)[0] == 400
    with empty.box("ada") as ada, empty.box("eve") as eve:
        ada.put_blob(sealed, 0)
        assert b"".join(eve.get_blob(reference, 0)) == ciphertext
    paths = ("/blobs/..%2frelay.sqlite", "/blobs/../relay.sqlite", "/blobs/incoming-00", f"/blobs/{'0' * 63}G")
    for path in paths:
        assert empty.ask(empty.signed("eve", "GET", path), "GET", path)[0] in (400, 404)


def test_misshapen_queries_change_nothing(empty: Scene) -> None:
    with empty.box("ada") as ada, empty.box("bob") as bob:
        ada.send([letter(empty)])
        for query in (
            "after=-1&wait=0",
            "after=x&wait=0",
            f"after={'9' * 23}&wait=0",
            "",
            "after=1;drop&wait=0",
            "after=1",
        ):
            target = f"/mail?{query}" if query else "/mail"
            assert empty.ask(empty.signed("bob", "GET", target), "GET", target)[0] == 400
        assert len(bob.receive(0, 0)) == 1
