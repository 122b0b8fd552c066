"""P7, at the relay's door: strangers get nothing in, and a member can neither pass for another nor touch its mail."""

import hashlib
import secrets
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from datasites.protocol.blobs import blob_digest, seal_blob
from tests.attacks.relay_scene import Scene, letter, running_scene


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
    target, address = f"/blobs/{blob_digest(body)}", empty.people["bob"].party
    attempts = [
        ({}, "PUT", target, body),
        (empty.signed("stranger", "PUT", target, body), "PUT", target, body),
        (empty.signed("stranger", "PUT", target, body, party=empty.people["ada"].party), "PUT", target, body),
        (empty.signed("stranger", "GET", "/mail?after=0&wait=0"), "GET", "/mail?after=0&wait=0", b""),
        (empty.signed("stranger", "POST", f"/mail/{address}", body), "POST", f"/mail/{address}", body),
        (empty.signed("stranger", "DELETE", "/mail?up_to=9"), "DELETE", "/mail?up_to=9", b""),
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
    body = letter(empty)
    target = f"/mail/{empty.people['bob'].party}"
    headers = empty.signed("ada", "POST", target, body)
    assert empty.ask(headers, "POST", target, body)[0] == 200
    assert empty.ask(headers, "POST", target, body)[0] == 401
    empty.restart()
    assert empty.ask(headers, "POST", target, body)[0] == 401
    with empty.box("bob") as box:
        assert len(box.receive(0, 0)) == 1


def test_a_signed_request_serves_for_nothing_else(empty: Scene) -> None:
    mine, yours = letter(empty), letter(empty, 2)
    target = f"/mail/{empty.people['bob'].party}"

    def status(headers: dict[str, str], method: str = "POST", to: str = target, body: bytes = mine) -> int:
        return empty.ask(headers, method, to, body)[0]

    assert status(empty.signed("ada", "POST", target, mine), body=yours) == 400
    assert status(empty.signed("ada", "POST", target, mine), to=f"/mail/{empty.people['eve'].party}") == 403
    assert status(empty.signed("ada", "POST", target, mine), to=target + "?x=1") == 403
    assert status(empty.signed("ada", "PUT", target, mine)) == 403
    assert status(empty.signed("ada", "POST", target, mine, audience="http://127.0.0.1:1")) == 403
    assert status(empty.signed("ada", "POST", target, mine, time=int(time.time()) - 301)) == 401
    for header in ("cloister-nonce", "cloister-time", "cloister-body"):
        headers = empty.signed("ada", "POST", target, mine)
        headers[header] = empty.signed("ada", "POST", target, yours, time=1)[header]
        assert status(headers) == 403
    with empty.box("bob") as box:
        assert box.receive(0, 0) == []


def test_a_member_cannot_send_in_anothers_name_nor_read_or_erase_anothers_mail(empty: Scene) -> None:
    target = f"/mail/{empty.people['bob'].party}"
    body = letter(empty)
    assert empty.ask(empty.signed("eve", "POST", target, body), "POST", target, body)[0] == 400
    with empty.box("ada") as ada, empty.box("eve") as eve, empty.box("bob") as bob:
        ada.send(empty.people["bob"].party, body)
        assert eve.receive(0, 0) == []
        eve.acknowledge(2**53 - 1)
        assert [data for _, data in bob.receive(0, 0)] == [body]
        for attempt in (f"{target}?after=0&wait=0", f"/mail?after=0&wait=0&party={empty.people['bob'].party}"):
            status, reply = empty.ask(empty.signed("eve", "GET", attempt), "GET", attempt)
            assert status in (200, 405)
            assert body not in reply


def test_a_member_cannot_store_under_a_digest_that_is_not_the_contents(empty: Scene) -> None:
    reference, ciphertext = seal_blob(b"the real model")
    target = f"/blobs/{reference.digest}"
    planted = b"something else"
    for announced in (hashlib.sha256(planted).hexdigest(), reference.digest):
        headers = empty.signed("eve", "PUT", target, planted, body_digest=announced)
        assert empty.ask(headers, "PUT", target, planted)[0] == 400
    with empty.box("ada") as ada, empty.box("eve") as eve:
        ada.put_blob(ciphertext)
        assert eve.get_blob(reference.digest) == ciphertext
    paths = ("/blobs/..%2frelay.sqlite", "/blobs/../relay.sqlite", "/blobs/incoming-00", f"/blobs/{'0' * 63}G")
    for path in paths:
        assert empty.ask(empty.signed("eve", "GET", path), "GET", path)[0] in (400, 404)


def test_misshapen_queries_change_nothing(empty: Scene) -> None:
    with empty.box("ada") as ada, empty.box("bob") as bob:
        ada.send(empty.people["bob"].party, letter(empty))
        for query in ("up_to=-1", "up_to=x", "up_to=99999999999999999999999", "", "up_to=1;drop"):
            target = f"/mail?{query}" if query else "/mail"
            assert empty.ask(empty.signed("bob", "DELETE", target), "DELETE", target)[0] == 400
        assert len(bob.receive(0, 0)) == 1
