"""Links between a site's machines: nobody without the secret reads, joins, changes or repeats anything."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from datasites.execution.sealed_link import SealedLink
from policies.errors import NotAuthenticError, UnavailableError
from tests.machines import until

SECRET = bytes(range(32))
SUM = b"a clipped sum without any noise" * 1000
FRAME = struct.pack(">QQ", 2, len(SUM)) + b"{}" + SUM


def link(connection: socket.socket, *, calls: bool, secret: bytes = SECRET) -> SealedLink:
    return SealedLink(connection, secret, rank=1 if calls else 0, calls=calls, seconds=5)


class Wire:
    """Two connections with somebody between them who sees all pieces and may touch them."""

    def __init__(self) -> None:
        self.caller, self._from_caller = _connected()
        self.listener, self._from_listener = _connected()
        self.seen: list[bytes] = []
        self.opened: dict[socket.socket, bytes] = {}
        self.touch = lambda sealed: [sealed]
        for source, target in (
            (self._from_caller, self._from_listener),
            (self._from_listener, self._from_caller),
        ):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with source.makefile("rb") as stream:
            self.opened[source] = stream.read(32)
            target.sendall(self.opened[source])
            while len(head := stream.read(4)) == 4:
                self.seen.append(head + stream.read(struct.unpack(">I", head)[0]))
                for piece in self.touch(self.seen[-1]):
                    target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.create_connection(server.getsockname()), server.accept()[0]


def met(wire: Wire, secret: bytes = SECRET) -> tuple[SealedLink, SealedLink]:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(link, wire.listener, calls=False)
        caller = link(wire.caller, calls=True, secret=secret)
        return caller, answer.result(timeout=10)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.caller.close()
    made.listener.close()


def test_what_is_sent_arrives_in_order_and_cannot_be_read_on_the_way(wire: Wire) -> None:
    caller, listener = met(wire)
    assert (caller.other, listener.other) == (0, 1)
    for _ in range(2):
        caller.send(SUM)
        assert listener.receive() == SUM
    listener.send(b"parameters")
    assert caller.receive() == b"parameters"
    everything = b"".join(wire.seen)
    assert b"clipped" not in everything
    assert b"parameters" not in everything
    assert len(set(wire.seen)) == len(wire.seen)  # the same sum twice does not look the same


def test_a_stranger_does_not_join(wire: Wire) -> None:
    with pytest.raises(NotAuthenticError, match="not sealed by one that holds"):
        met(wire, secret=bytes(32))


def test_who_sends_a_byte_now_and_then_is_not_waited_for_any_longer() -> None:
    own, other = _connected()
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(0.05):
            other.sendall(b"x")

    threading.Thread(target=trickle, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        SealedLink(own, SECRET, rank=0, calls=False, seconds=0.4)
    ended.set()
    assert time.monotonic() - began < 2
    other.close()


def test_what_an_end_says_is_not_good_enough_to_say_it_back() -> None:
    """A mirror proves nothing: what one end seals, the same end does not take."""
    own, mirror = _connected()

    def reflect() -> None:
        while content := mirror.recv(2**16):
            mirror.sendall(content)

    threading.Thread(target=reflect, daemon=True).start()
    with pytest.raises(NotAuthenticError):
        SealedLink(own, SECRET, rank=0, calls=False, seconds=5)
    mirror.close()


@pytest.mark.parametrize(
    "touch",
    [
        lambda sealed: [sealed[:-1] + bytes([sealed[-1] ^ 1])],
        lambda sealed: [sealed[:9] + bytes([sealed[9] ^ 1]) + sealed[10:]],
        lambda sealed: [struct.pack(">I", 2**31) + sealed[4:]],
    ],
    ids=["tag", "content", "length"],
)
def test_a_piece_that_was_changed_is_refused(wire: Wire, touch: object) -> None:
    caller, listener = met(wire)
    wire.touch = touch
    caller.send(SUM)
    with pytest.raises(NotAuthenticError):
        listener.receive()


def test_a_piece_that_is_repeated_is_refused(wire: Wire) -> None:
    caller, listener = met(wire)
    wire.touch = lambda sealed: [sealed, sealed]
    caller.send(SUM)
    assert listener.receive() == SUM
    with pytest.raises(NotAuthenticError):
        listener.receive()


def test_what_an_end_sent_itself_is_not_taken_from_the_other(wire: Wire) -> None:
    caller, listener = met(wire)
    caller.send(SUM)
    listener.receive()
    wire._from_caller.sendall(wire.seen[-1])
    with pytest.raises(NotAuthenticError):
        caller.receive()


@pytest.mark.parametrize("portion", [1000, 2**16, 2**21])
def test_pieces_are_as_long_as_frames_are_however_they_come(wire: Wire, portion: int) -> None:
    """Where a neighbour sees a piece end, nothing ends but 1 MiB or a frame of a public length."""
    caller, _ = met(wire)
    wire.seen.clear()
    trainer, local = socket.socketpair()
    threading.Thread(target=caller.carry, args=(local,), daemon=True).start()
    frames = struct.pack(">QQ", 2, 5 * 2**19) + b"{}" + bytes(5 * 2**19) + struct.pack(">QQ", 0, 0) + FRAME
    for start in range(0, len(frames), portion):
        trainer.sendall(frames[start : start + portion])
    until(lambda: len(wire.seen) == 5)
    trainer.close()
    lengths = [len(it) - 4 - 16 for it in wire.seen]
    assert lengths == [2**20, 2**20, 2**19 + 18, 16, len(FRAME)]


def test_a_reader_that_is_behind_is_waited_for(wire: Wire) -> None:
    """A machine that writes records to a slow disk, or computes for long, does not read meanwhile; it is not lost."""
    for end in met(wire):
        assert end._connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not end._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_who_gets_the_secret_later_reads_nothing_that_passed_before(wire: Wire) -> None:
    """All that passed and the site's secret do not make the keys: what either end drew is forgotten with the link."""
    caller, _ = met(wire)
    caller.send(SUM)
    until(lambda: len(wire.seen) == 3)
    callers, listeners = (wire.opened[it] for it in (wire._from_caller, wire._from_listener))
    content = HKDF(SHA256(), 64, callers + listeners, b"cloister-machines/1").derive(SECRET)
    with pytest.raises(InvalidTag):
        AESGCM(content[:32]).decrypt(struct.pack(">4xQ", 1), wire.seen[-1][4:], None)


@pytest.mark.parametrize("key", [bytes(32), bytes([1]) + bytes(31)], ids=["zero", "one"])
def test_a_key_that_makes_the_shared_one_known_is_refused(key: bytes) -> None:
    own, other = _connected()
    other.sendall(key)
    with pytest.raises(NotAuthenticError, match="no key of one of them"):
        SealedLink(own, SECRET, rank=0, calls=False, seconds=5)
    other.close()


def test_a_link_ends_when_either_side_is_gone(wire: Wire) -> None:
    caller, listener = met(wire)
    trainer, local = socket.socketpair()
    carrier = threading.Thread(target=caller.carry, args=(local,))
    carrier.start()
    trainer.sendall(FRAME)
    assert listener.receive() == FRAME
    listener.send(b"back")
    assert trainer.recv(4) == b"back"
    trainer.close()
    carrier.join(timeout=10)
    assert not carrier.is_alive()
    with pytest.raises(UnavailableError):
        listener.receive()
    assert not caller.failed_there


def test_a_trainer_that_failed_by_itself_is_told_apart_from_a_machine_that_was_lost(wire: Wire) -> None:
    """After a record made it fail nothing is computed again; after a cable was pulled, something may be."""
    for failed in (True, False):
        this = Wire()
        caller, listener = met(this)
        far, near = socket.socketpair(), socket.socketpair()
        carriers = [
            threading.Thread(target=it.carry, args=(ends[0],)) for it, ends in ((caller, far), (listener, near))
        ]
        for carrier in carriers:
            carrier.start()
        caller.failed_here = failed
        far[1].close()
        assert near[1].recv(1) == b""
        for carrier in carriers:
            carrier.join(timeout=10)
        assert (listener.failed_there, listener.lost) == (failed, not failed)


def test_a_trainer_notices_that_the_other_machine_is_gone(wire: Wire) -> None:
    caller, listener = met(wire)
    trainer, local = socket.socketpair()
    carrier = threading.Thread(target=caller.carry, args=(local,))
    carrier.start()
    listener.close()
    with suppress(OSError):  # it was noticed already
        wire._from_caller.shutdown(socket.SHUT_RDWR)
    assert trainer.recv(1) == b""
    carrier.join(timeout=10)
    assert not carrier.is_alive()
