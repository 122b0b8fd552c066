"""P7: the relay can drop and delay; it can read nothing, forge nothing and reorder nothing unnoticed."""

import contextlib
import hashlib
import http.client
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from datasites.protocol.blobs import blob_digest, open_blob, seal_blob
from datasites.protocol.envelope import check_number, open_envelope, read_header, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogRequest, StudyClose
from datasites.protocol.relay_wire import SignedRequest, join_letters, split_letters
from datasites.relay.store import admit
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, UnavailableError

PROGRAM = (
    "import sys; from pathlib import Path; from datasites.relay.run import run_relay; "
    "run_relay(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]))"
)
SECRET_SENTENCE = "the trial was stopped early in ward seven"


@dataclass
class Scene:
    """A relay process, its members ada, bob and eve, and a stranger whom nobody admitted."""

    folder: Path
    url: str
    people: dict[str, Identity]
    process: subprocess.Popen[bytes]

    def restart(self) -> None:
        self.stop(signal.SIGKILL)
        self.process, self.url = start(self.folder, self.url)

    def stop(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(20)

    def ask(self, headers: dict[str, str], method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            connection.request(method, target, body=body or None, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def signed(self, name: str, method: str, target: str, body: bytes = b"", **changes: Any) -> dict[str, str]:
        """A request's headers as `name` may sign them, with any field of its choice."""
        fields: dict[str, Any] = {
            "party": self.people[name].party,
            "audience": self.url,
            "method": method,
            "target": target,
            "body_digest": hashlib.sha256(body).hexdigest(),
            "time": int(time.time()),
            "nonce": secrets.token_hex(16),
        }
        return SignedRequest(**{**fields, **changes}).headers(self.people[name].signing)

    def box(self, name: str) -> Mailbox:
        return Mailbox(self.people[name], self.url)

    def stored_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


def start(folder: Path, url: str = "") -> tuple[subprocess.Popen[bytes], str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), url.rpartition(":")[2] or "0"])
    deadline = time.monotonic() + 60
    while True:
        try:
            announcement = json.loads((folder / "relay.json").read_bytes())
            if announcement["pid"] == process.pid:
                return process, str(announcement["url"])
        except FileNotFoundError:
            assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("p7")
    names = ("ada", "bob", "eve", "stranger")
    people = {name: Identity.create(folder / name, name, "researcher") for name in names}
    for name in names[:3]:
        admit(folder / "relay", people[name].card)
    process, url = start(folder / "relay")
    scene = Scene(folder / "relay", url, people, process)
    yield scene
    scene.process.kill()
    scene.process.wait()


@pytest.fixture
def empty(scene: Scene) -> Scene:
    for name in ("ada", "bob", "eve"):
        with scene.box(name) as box:
            for cursor, _ in box.receive(0, 0):
                box.acknowledge(cursor)
    return scene


def pinned(*identities: Identity) -> dict[str, IdentityCard]:
    return {identity.party: identity.card for identity in identities}


def letter(scene: Scene, number: int = 1, sender: str = "ada", recipient: str = "bob") -> bytes:
    message = StudyClose(study="0" * 32, reason=SECRET_SENTENCE)
    return seal(scene.people[sender], scene.people[recipient].card, number, message)


# As the relay itself: everything that it holds or changes.


def test_what_the_relay_stores_and_sees_holds_no_content(empty: Scene) -> None:
    reference, ciphertext = seal_blob(SECRET_SENTENCE.encode() * 1000)
    with empty.box("ada") as box:
        box.send(empty.people["bob"].party, letter(empty))
        box.put_blob(ciphertext)
    stored = empty.stored_bytes()
    assert empty.people["ada"].party.encode() in stored
    for needle in (SECRET_SENTENCE.encode(), b"study-close", reference.key.encode(), bytes.fromhex(reference.key)):
        assert needle not in stored
    for identity in empty.people.values():
        assert identity.sealing.private_bytes_raw() not in stored
        assert identity.signing.private_bytes_raw() not in stored


def test_acknowledged_mail_is_erased_from_the_disk(empty: Scene) -> None:
    sealed = letter(empty)
    with empty.box("ada") as ada, empty.box("bob") as bob:
        ada.send(empty.people["bob"].party, sealed)
        bob.acknowledge(bob.receive(0, 0)[-1][0])
    empty.stop(signal.SIGTERM)
    stored = empty.stored_bytes()
    empty.restart()
    assert empty.people["ada"].party.encode() in stored
    assert sealed[-100:] not in stored


def test_the_relay_cannot_write_a_letter_in_a_members_name(empty: Scene) -> None:
    bob, relay_key = empty.people["bob"], empty.people["stranger"]
    forged = seal(relay_key, bob.card, 1, CatalogRequest())
    header = read_header(forged)
    lied = header.model_copy(update={"sender": empty.people["ada"].party}).canonical()
    with pytest.raises(NotAuthenticError):
        open_envelope(bob, forged, pinned(empty.people["ada"]).get)
    swapped = len(lied).to_bytes(2, "big") + lied + forged[2 + len(header.canonical()) :]
    with pytest.raises(NotAuthenticError):
        open_envelope(bob, swapped, pinned(empty.people["ada"]).get)


def test_replayed_and_reordered_letters_are_noticed_by_their_recipient(empty: Scene) -> None:
    bob, known = empty.people["bob"], pinned(empty.people["ada"]).get
    first, second, third = (letter(empty, number) for number in (1, 2, 3))
    last = 0
    for data in (first, third):
        opened = open_envelope(bob, data, known)
        missing = check_number(last, opened.number)
        last = opened.number
    assert missing == 1
    for data in (second, third, first):
        with pytest.raises(ConflictError):
            check_number(last, open_envelope(bob, data, known).number)


def test_a_letter_delivered_to_another_mailbox_does_not_open(empty: Scene) -> None:
    data = letter(empty, recipient="bob")
    for name in ("eve", "ada"):
        with pytest.raises(NotAuthenticError):
            open_envelope(empty.people[name], data, pinned(*empty.people.values()).get)
    header = read_header(data)
    lied = header.model_copy(update={"recipient": empty.people["eve"].party}).canonical()
    with pytest.raises(NotAuthenticError):
        open_envelope(
            empty.people["eve"],
            len(lied).to_bytes(2, "big") + lied + data[2 + len(header.canonical()) :],
            pinned(*empty.people.values()).get,
        )


def test_flipped_and_cut_letters_and_blobs_are_noticed(empty: Scene) -> None:
    data = letter(empty)
    reference, ciphertext = seal_blob(bytes(5000))
    for position in range(0, len(data), 7):
        with pytest.raises((NotAuthenticError, InvalidInputError)):
            open_envelope(
                empty.people["bob"],
                data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :],
                pinned(empty.people["ada"]).get,
            )
        with pytest.raises((NotAuthenticError, InvalidInputError)):
            open_envelope(empty.people["bob"], data[:position], pinned(empty.people["ada"]).get)
    other, other_ciphertext = seal_blob(bytes(5000))
    for given in (
        ciphertext[:-1],
        ciphertext + b"\0",
        ciphertext[:99] + b"!" + ciphertext[100:],
        other_ciphertext,
        b"",
    ):
        with pytest.raises(NotAuthenticError):
            open_blob(reference, given, 5000)
    assert open_blob(other, other_ciphertext, 5000) == bytes(5000)


def test_a_reply_that_goes_backwards_or_ends_early_is_refused() -> None:
    good = join_letters([(5, b"a"), (6, b"b")])
    assert split_letters(good, 4) == [(5, b"a"), (6, b"b")]
    bad = [good[:-1], good[:3], join_letters([(6, b"a"), (5, b"b")]), join_letters([(5, b"a"), (5, b"a")])]
    bad.append(join_letters((cursor, b"") for cursor in range(5, 200)))
    for reply in bad:
        with pytest.raises(InvalidInputError):
            split_letters(reply, 4)
    with pytest.raises(InvalidInputError):
        split_letters(good, 5)


def test_a_relay_that_answers_without_end_or_with_nonsense_only_looks_unavailable(empty: Scene) -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + bytes(32 * 1024 * 1024)
    for reply in (b"garbage\r\n\r\n", b"", b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n", endless):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            liar = threading.Thread(target=_answer_once, args=(listener, reply))
            liar.start()
            with (
                Mailbox(empty.people["ada"], f"http://127.0.0.1:{listener.getsockname()[1]}") as box,
                pytest.raises(UnavailableError) as caught,
            ):
                box.receive(0, 0)
            liar.join(20)
            assert not liar.is_alive()
            assert "garbage" not in str(caught.value)


def _answer_once(listener: socket.socket, reply: bytes) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(reply)


# As a stranger, or as a member against other members, at the relay's door.


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
