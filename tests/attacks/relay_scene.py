"""A scene for attacks on P7: a relay in a process of its own, its members, and a stranger."""

import contextlib
import hashlib
import http.client
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import StudyClose
from datasites.protocol.relay_wire import NO_SESSION, SESSION_HEADER, SignedRequest, join_letters
from datasites.relay.store import admit

PROGRAM = (
    "import sys; from pathlib import Path; from datasites.relay.run import run_relay; "
    "run_relay(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]), *sys.argv[3:])"
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
            "session": self.session(),
        }
        return SignedRequest(**{**fields, **changes}).headers(self.people[name].signing)

    def session(self) -> str:
        """The relay's present session, as it tells any member."""
        target = "/mail?after=0&forget=0&wait=0"
        fields = {"audience": self.url, "method": "GET", "target": target, "body_digest": hashlib.sha256().hexdigest()}
        request = SignedRequest(
            party=self.people["eve"].party,
            time=int(time.time()),
            nonce=secrets.token_hex(16),
            session=NO_SESSION,
            **fields,
        )
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            connection.request("GET", target, headers=request.headers(self.people["eve"].signing))
            return str(connection.getresponse().headers[SESSION_HEADER])
        finally:
            connection.close()

    def box(self, name: str) -> Mailbox:
        return Mailbox(self.people[name], self.url)

    def empty_mailboxes(self) -> None:
        for name in ("ada", "bob", "eve"):
            with self.box(name) as box:
                cursor = 0
                while letters := box.receive(cursor, 0):
                    cursor = letters[-1][0]

    def stored_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


def start(folder: Path, url: str = "", *public_url: str) -> tuple[subprocess.Popen[bytes], str]:
    port = url.rpartition(":")[2] or "0"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), port, *public_url])
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


@contextlib.contextmanager
def running_scene(folder: Path) -> Iterator[Scene]:
    """Ada, Bob and Eve are members; nobody admitted the stranger."""
    names = ("ada", "bob", "eve", "stranger")
    people = {name: Identity.create(folder / name, name, "researcher") for name in names}
    for name in names[:3]:
        admit(folder / "relay", people[name].card)
    process, url = start(folder / "relay")
    scene = Scene(folder / "relay", url, people, process)
    try:
        yield scene
    finally:
        scene.stop(signal.SIGKILL)


def pinned(*identities: Identity) -> dict[str, IdentityCard]:
    return {identity.party: identity.card for identity in identities}


def batch(*letters: bytes) -> bytes:
    """Letters as they lie in one request."""
    return join_letters(enumerate(letters, 1))


def letter(scene: Scene, number: int = 1, sender: str = "ada", recipient: str = "bob") -> bytes:
    message = StudyClose(study="0" * 32, reason=SECRET_SENTENCE)
    return seal(scene.people[sender], scene.people[recipient].card, number, message)
