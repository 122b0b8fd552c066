"""Uploads and downloads go on after a break, hold nobody up when they stall, and take no memory at the relay."""

import contextlib
import itertools
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from datasites.protocol.blobs import CHUNK_BYTES, open_blob
from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogRequest
from datasites.protocol.relay_connection import RelayConnection
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import SealedMemory
from policies.errors import CloisterError, UnavailableError
from tests.benchmarks.bench_relay import own_bytes, peak_bytes

Boxes = dict[str, Mailbox]


class CuttingProxy:
    """Carries each connection to the relay until `limit` bytes have passed one way, and then cuts it off."""

    def __init__(self, relay_url: str, limit: int) -> None:
        address = urlsplit(relay_url)
        self._relay, self.limit = (str(address.hostname), int(address.port or 0)), limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                member, _ = self._listener.accept()
            except OSError:
                return
            relay = socket.create_connection(self._relay)
            for source, target in ((member, relay), (relay, member)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        left = self.limit
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
                left -= len(piece)
                if left < 0:
                    self.cut += 1
                    break
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@pytest.fixture
def cutting(relay: Any, boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """Ada's and Bob's way to the relay is cut after each 3 MB; what they sign names the relay all the same."""
    proxy = CuttingProxy(relay.url, 3_000_000)
    for name in ("ada", "bob"):
        client = boxes[name]._relay._client
        send = client.send

        def by_proxy(request: Any, *, _send: Any = send, **options: Any) -> Any:
            request.url = request.url.copy_with(port=proxy.port)
            return _send(request, **options)

        monkeypatch.setattr(client, "send", by_proxy)
    yield proxy
    proxy.close()


def test_a_cut_upload_and_a_cut_download_go_on_where_they_ended(boxes: Boxes, cutting: CuttingProxy) -> None:
    content = secrets.token_bytes(8 * CHUNK_BYTES + 5)
    sealed = SealedMemory(content)
    with pytest.raises(UnavailableError):
        boxes["ada"].put_blob(sealed, 0)
    assert cutting.cut == 1
    boxes["ada"].put_blob(sealed, 30)
    uploads = cutting.cut
    assert uploads <= 4, "each connection must add to what came before"
    assert open_blob(sealed.reference, boxes["bob"].get_blob(sealed.reference, 30), len(content)) == content
    assert uploads + 2 <= cutting.cut <= uploads + 4
    with pytest.raises(UnavailableError):
        list(boxes["bob"].get_blob(sealed.reference, 0))


def test_an_upload_goes_on_after_the_relay_was_killed(relay: Any, boxes: Boxes, cutting: CuttingProxy) -> None:
    sealed = SealedMemory(secrets.token_bytes(6 * CHUNK_BYTES))
    with pytest.raises(UnavailableError):
        boxes["ada"].put_blob(sealed, 0)
    relay.stop()
    relay.start()
    boxes["ada"].put_blob(sealed, 20)
    assert b"".join(boxes["eve"].get_blob(sealed.reference, 0)) == b"".join(sealed.pieces(0))


def test_stalled_uploads_and_downloads_hold_up_nobody(boxes: Boxes, people: dict[str, Identity]) -> None:
    sealed = SealedMemory(bytes(8 * CHUNK_BYTES))
    boxes["ada"].put_blob(sealed, 0)
    go_on = threading.Event()

    def stalling(connection: RelayConnection, number: int) -> None:
        other = SealedMemory(bytes([number]) * CHUNK_BYTES)
        digest, size = other.reference.digest, other.reference.sealed_size

        def pieces() -> Iterator[bytes]:
            yield bytes(1000)
            go_on.wait(30)

        with contextlib.suppress(CloisterError):
            connection.upload(f"/blobs/{digest}?offset=0&size={size}", digest, size, pieces())

    boxes["eve"].receive(0, 0)
    threads = [threading.Thread(target=stalling, args=(boxes["eve"]._relay, number)) for number in range(6)]
    for thread in threads:
        thread.start()
    readers = [boxes["eve"].get_blob(sealed.reference, 60) for _ in range(6)]
    for reader in readers:
        next(reader)  # and then takes nothing
    time.sleep(0.3)
    began = time.monotonic()
    assert boxes["ada"].send([seal(people["ada"], people["bob"].card, 1, CatalogRequest())]) == [Fate.TAKEN]
    assert len(boxes["bob"].receive(0, 5)) == 1
    boxes["bob"].put_blob(SealedMemory(b"x" * CHUNK_BYTES), 0)
    assert sum(map(len, boxes["bob"].get_blob(sealed.reference, 0))) == sealed.reference.sealed_size
    assert time.monotonic() - began < 5
    go_on.set()
    for reader in readers:
        reader.close()
    for thread in threads:
        thread.join(30)


def test_the_relays_memory_does_not_grow_with_a_blob(relay: Any, boxes: Boxes) -> None:
    def there_and_back(size: int) -> int:
        sealed = SealedMemory(bytes(size))
        with peak_bytes(relay._process.pid) as peak:
            boxes["ada"].put_blob(sealed, 0)
            assert sum(map(len, boxes["bob"].get_blob(sealed.reference, 60))) == sealed.reference.sealed_size
        return peak[0]

    small = there_and_back(2 * CHUNK_BYTES)
    assert there_and_back(128 * CHUNK_BYTES) - small < 16 * CHUNK_BYTES


def send_without_end(connection: socket.socket) -> None:
    """Header bytes until the other end has had enough, or 20 MB have gone."""
    for _ in range(2000):
        connection.sendall(b"a" * 10_000)
        time.sleep(0.001)


def test_strangers_connections_neither_stop_a_member_nor_fill_the_relay(relay: Any, boxes: Boxes) -> None:
    address = urlsplit(relay.url)
    before = own_bytes(relay._process.pid)
    with ExitStack() as stack:
        strangers = [
            stack.enter_context(socket.create_connection((str(address.hostname), int(address.port or 0))))
            for _ in range(500)
        ]
        for stranger, _ in zip(strangers, itertools.count(), strict=False):
            try:
                stranger.sendall(b"GET / HTTP/1.1\r\nx: " + bytes(b"a" * 1000))
            except OSError:
                continue  # turned away already
        assert boxes["ada"].receive(0, 0) == []
        endless = strangers[-1]
        with pytest.raises(ConnectionError):
            send_without_end(endless)
        assert boxes["bob"].receive(0, 0) == []
        assert own_bytes(relay._process.pid) - before < 32 * CHUNK_BYTES
