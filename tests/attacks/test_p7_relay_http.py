"""P7, in the relay's HTTP: tricks with headers, bodies, ranges and pipelines, by members and by strangers."""

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from datasites.protocol.blobs import blob_digest
from datasites.relay.quotas import Quotas
from tests.attacks.relay_scene import Scene, running_scene
from tests.benchmarks.bench_relay import own_bytes

POLL = "/mail?after=0&forget=0&wait=0"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_scene(tmp_path_factory.mktemp("http")) as scene:
        yield scene


def connect(scene: Scene) -> socket.socket:
    address = urlsplit(scene.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20)


def head(scene: Scene, name: str, method: str, target: str, body: bytes = b"", *more: str) -> bytes:
    """A request of `name` up to its body, with any lines more."""
    lines = [f"{key}: {value}" for key, value in scene.signed(name, method, target, body).items()]
    return "\r\n".join([f"{method} {target} HTTP/1.1", "host: relay", *lines, *more, "", ""]).encode()


def replies(connection: socket.socket) -> bytes:
    """All that comes until the relay ends the connection, or says nothing for two seconds."""
    connection.settimeout(2)
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := connection.recv(65536):
            got += piece
    return got


def is_ended(connection: socket.socket, content: bytes, seconds: float) -> bool:
    """Whether the relay ends the connection while `content` is sent again and again."""
    deadline = time.monotonic() + seconds
    connection.settimeout(seconds)
    try:
        while time.monotonic() < deadline:
            connection.sendall(content)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def test_headers_behind_a_body_in_chunks_fill_no_memory(scene: Scene) -> None:
    """HTTP lets headers follow a body that comes in chunks; nothing bounds how many, and they are kept as they come."""
    body = b"x"
    target = f"/blobs/{blob_digest(body)}?offset=0&size=1"
    before = own_bytes(scene.process.pid)
    with connect(scene) as connection:
        connection.sendall(head(scene, "eve", "PUT", target, body, "transfer-encoding: chunked") + b"1\r\nx\r\n0\r\n")
        assert is_ended(connection, b"x: " + b"y" * 8000 + b"\r\n", 5)
    assert own_bytes(scene.process.pid) - before < 64 * 2**20


@pytest.mark.parametrize("name", ["eve", "stranger"])
def test_requests_that_do_not_await_their_replies_are_not_queued(scene: Scene, name: str) -> None:
    """A request of twenty bytes costs a thousand times that while it waits for those before it."""
    with connect(scene) as connection:
        connection.sendall(head(scene, name, "GET", POLL) + head(scene, "eve", "GET", POLL))
        got = replies(connection)
    assert got.count(b"HTTP/1.1 200") == 0 if name == "stranger" else got.count(b"HTTP/1.1 200") <= 1
    with connect(scene) as connection:
        for _ in range(2):
            connection.sendall(head(scene, "eve", "GET", POLL))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200"), "one after the other is fine"


@pytest.mark.parametrize(
    "more",
    [
        ("content-length: 0", "content-length: 5"),
        ("content-length: 5", "transfer-encoding: chunked"),
        ("content-length: 99999999999999999999",),
        ("content-length: -1",),
        ("content-length : 5",),
    ],
)
def test_a_body_whose_length_is_said_in_two_ways_is_refused(scene: Scene, more: tuple[str, ...]) -> None:
    with connect(scene) as connection:
        connection.sendall(head(scene, "eve", "POST", "/mail", b"", *more) + b"hello" + head(scene, "ada", "GET", POLL))
        assert b"HTTP/1.1 200" not in replies(connection)


def test_a_signature_given_twice_counts_for_one_party(scene: Scene) -> None:
    """Two sets of headers in one request: the mail that comes is of the member whose signature holds."""
    both = {f"{key}: {value}" for key, value in scene.signed("ada", "GET", POLL).items()}
    with connect(scene) as connection:
        connection.sendall(head(scene, "eve", "GET", POLL, b"", *sorted(both)))
        assert replies(connection).startswith((b"HTTP/1.1 403", b"HTTP/1.1 200"))
    with connect(scene) as connection:
        connection.sendall(head(scene, "eve", "GET", POLL, b"", f"cloister-party: {scene.people['ada'].party}"))
        assert b"HTTP/1.1 403" in replies(connection)


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        ("bytes=0-", 200, 1000),
        ("bytes=999-", 206, 1),
        ("bytes=1000-", 206, 0),
        ("bytes=1001-", 400, None),
        ("bytes=9999999999999999-", 400, None),
        ("bytes=99999999999999999-", 200, 1000),
        ("bytes=-5", 200, 1000),
        ("bytes=5-1", 200, 1000),
        ("bytes=1-,2-", 200, 1000),
        ("bytes=٣-", 200, 1000),
    ],
)
def test_no_range_gives_more_or_other_bytes_than_the_content_has(
    scene: Scene, asked: str, status: int, length: int | None
) -> None:
    content = bytes(range(250)) * 4
    digest = blob_digest(content)
    put, get = f"/blobs/{digest}?offset=0&size=1000", f"/blobs/{digest}"
    scene.ask(scene.signed("ada", "PUT", put, content), "PUT", put, content)
    headers: dict[str, str] = {**scene.signed("eve", "GET", get), "range": asked.encode().decode("latin-1")}
    got, body = scene.ask(headers, "GET", get)
    assert got == status
    if length is not None:
        assert body == content[1000 - length :]


def test_a_blob_cut_off_on_the_relays_disk_ends_the_reply_and_nothing_else(scene: Scene) -> None:
    content = secrets.token_bytes(3 * 2**20)
    digest = blob_digest(content)
    put, get = f"/blobs/{digest}?offset=0&size={len(content)}", f"/blobs/{digest}"
    assert scene.ask(scene.signed("ada", "PUT", put, content), "PUT", put, content)[0] == 200
    with connect(scene) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(head(scene, "eve", "GET", get))
        assert connection.recv(100)
        with (scene.folder / "blobs" / digest).open("r+b") as file:
            file.truncate(2**20)
        got = len(replies(connection))
    assert got < len(content)
    assert scene.ask(scene.signed("bob", "GET", POLL), "GET", POLL)[0] == 200
    used = cpu_seconds(scene)
    time.sleep(1)
    assert cpu_seconds(scene) - used < 0.5, "nobody goes on reading what is not there"


def cpu_seconds(scene: Scene) -> float:
    fields = Path(f"/proc/{scene.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_strangers_who_send_long_headers_in_drops_fill_no_memory(scene: Scene) -> None:
    """As many as may be open at a time, each just below the bound on its headers, and then more who push them out."""
    before = own_bytes(scene.process.pid)
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connect(scene)) for _ in range(Quotas().strangers + 50)]
        for connection in waiting:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 15_000)
        assert scene.ask(scene.signed("ada", "GET", POLL), "GET", POLL)[0] == 200
        assert own_bytes(scene.process.pid) - before < 64 * 2**20
        assert is_ended(waiting[-1], b"z" * 1000, 5), "beyond the bound it ends"
