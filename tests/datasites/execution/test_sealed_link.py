"""Links between a site's machines: nobody without the secret reads, joins, changes or repeats anything."""

import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from datasites.execution.sealed_link import SealedLink
from policies.errors import NotAuthenticError, UnavailableError

SECRET, AGREED = bytes(range(32)), b"\1" * 32
SUM = b"a clipped sum without any noise" * 1000


def link(connection: socket.socket, *, calls: bool, secret: bytes = SECRET, agreed: bytes = AGREED) -> SealedLink:
    return SealedLink(connection, secret, agreed, rank=1 if calls else 0, calls=calls, seconds=5)


class Wire:
    """Two connections with somebody between them who sees all pieces and may touch them."""

    def __init__(self) -> None:
        self.caller, self._from_caller = _connected()
        self.listener, self._from_listener = _connected()
        self.seen: list[bytes] = []
        self.touch = lambda sealed: [sealed]
        for source, target in (
            (self._from_caller, self._from_listener),
            (self._from_listener, self._from_caller),
        ):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with source.makefile("rb") as stream:
            target.sendall(stream.read(32))
            while len(head := stream.read(4)) == 4:
                self.seen.append(head + stream.read(struct.unpack(">I", head)[0]))
                for piece in self.touch(self.seen[-1]):
                    target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.create_connection(server.getsockname()), server.accept()[0]


def met(wire: Wire, **other: bytes) -> tuple[SealedLink, SealedLink]:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(link, wire.listener, calls=False)
        caller = link(wire.caller, calls=True, **other)
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


@pytest.mark.parametrize("other", [{"secret": bytes(32)}, {"agreed": b"\2" * 32}], ids=["no secret", "another study"])
def test_a_stranger_and_a_worker_of_another_study_do_not_join(wire: Wire, other: dict[str, bytes]) -> None:
    with pytest.raises(NotAuthenticError, match="not sealed by one that holds"):
        met(wire, **other)


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
    """A sum counted twice would let each of its people count twice."""
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


def test_a_link_ends_when_either_side_is_gone(wire: Wire) -> None:
    caller, listener = met(wire)
    trainer, local = socket.socketpair()
    carrier = threading.Thread(target=caller.carry, args=(local,))
    carrier.start()
    trainer.sendall(SUM)
    got = b""
    while len(got) < len(SUM):
        got += listener.receive()
    assert got == SUM
    listener.send(b"back")
    assert trainer.recv(4) == b"back"
    trainer.close()
    carrier.join(timeout=10)
    assert not carrier.is_alive()
    with pytest.raises(UnavailableError):
        listener.receive()


def test_a_trainer_notices_that_the_other_machine_is_gone(wire: Wire) -> None:
    caller, listener = met(wire)
    trainer, local = socket.socketpair()
    carrier = threading.Thread(target=caller.carry, args=(local,))
    carrier.start()
    listener.close()
    wire._from_caller.shutdown(socket.SHUT_RDWR)
    assert trainer.recv(1) == b""
    carrier.join(timeout=10)
    assert not carrier.is_alive()
