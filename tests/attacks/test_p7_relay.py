"""P7, as the relay: it reads nothing, forges nothing, reorders nothing unnoticed, and its replies take nobody down."""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from datasites.protocol.blobs import open_blob
from datasites.protocol.envelope import check_number, open_envelope, read_header, seal
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogRequest
from datasites.protocol.relay_wire import join_letters, split_letters
from datasites.protocol.sealed import SealedMemory
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, UnavailableError
from tests.attacks.relay_scene import SECRET_SENTENCE, Scene, letter, pinned, running_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_scene(tmp_path_factory.mktemp("p7")) as scene:
        yield scene


@pytest.fixture
def empty(scene: Scene) -> Scene:
    scene.empty_mailboxes()
    return scene


def test_what_the_relay_stores_and_sees_holds_no_content(empty: Scene) -> None:
    sealed = SealedMemory(SECRET_SENTENCE.encode() * 1000)
    reference = sealed.reference
    with empty.box("ada") as box:
        box.send([letter(empty)])
        box.put_blob(sealed, 0)
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
        ada.send([sealed])
        assert bob.receive(bob.receive(0, 0)[-1][0], 0) == []
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
    sealed, other_sealed = SealedMemory(bytes(5000)), SealedMemory(bytes(5000))
    ciphertext, other_ciphertext = (b"".join(it.pieces(0)) for it in (sealed, other_sealed))
    for position in range(0, len(data), 7):
        with pytest.raises((NotAuthenticError, InvalidInputError)):
            open_envelope(
                empty.people["bob"],
                data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :],
                pinned(empty.people["ada"]).get,
            )
        with pytest.raises((NotAuthenticError, InvalidInputError)):
            open_envelope(empty.people["bob"], data[:position], pinned(empty.people["ada"]).get)
    for given in (
        ciphertext[:-1],
        ciphertext + b"\0",
        ciphertext[:99] + b"!" + ciphertext[100:],
        other_ciphertext,
        b"",
    ):
        with pytest.raises(NotAuthenticError):
            open_blob(sealed.reference, [given], 5000)
    assert open_blob(other_sealed.reference, [other_ciphertext], 5000) == bytes(5000)


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
