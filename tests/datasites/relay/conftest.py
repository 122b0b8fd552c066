"""A relay in a process of its own, as an operator runs it, and the people around it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.relay.store import admit

PROGRAM = (
    "import sys; from pathlib import Path; from datasites.relay.run import run_relay; "
    "run_relay(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]))"
)


@dataclass
class RunningRelay:
    """Starts, kills and restarts the relay over one folder, always on the same port."""

    folder: Path
    url: str = ""
    _process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        self._process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self.folder), port])
        deadline = time.monotonic() + 60
        while not self._announced():
            assert self._process.poll() is None, "the relay ended"
            assert time.monotonic() < deadline, "the relay does not announce itself"
            time.sleep(0.02)

    def _announced(self) -> bool:
        try:
            announcement = json.loads((self.folder / "relay.json").read_bytes())
        except FileNotFoundError:
            return False
        self.url = announcement["url"]
        return bool(announcement["pid"] == self._process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait(20)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RunningRelay]:
    running = RunningRelay(tmp_path / "relay")
    running.start()
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("people")
    return {name: Identity.create(folder / name, name, "researcher") for name in ("ada", "bob", "eve", "stranger")}


@pytest.fixture
def boxes(relay: RunningRelay, people: dict[str, Identity]) -> Iterator[dict[str, Mailbox]]:
    for name in ("ada", "bob", "eve"):
        admit(relay.folder, people[name].card)
    boxes = {name: Mailbox(identity, relay.url) for name, identity in people.items()}
    yield boxes
    for box in boxes.values():
        box.close()
