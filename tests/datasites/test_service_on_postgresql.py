"""`datasite serve` on PostgreSQL: one process to a database, from whatever home; without its place it stops."""

import shutil
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from datasites.protocol.identity import Identity
from datasites.service import Service
from datasites.site import create_site, open_site
from datasites.store import sole_server
from datasites.store.home import Home, Settings, read_settings, write_settings
from datasites.store.postgresql import WATCHING
from policies.errors import CloisterError, ConflictError, UnavailableError
from tests.databases import POSTGRESQL
from tests.one_site import Scene, new_scene
from tests.site_folder import owner_key

END_SESSION = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted"
)


class SilentRelay:
    """A mailbox without mail."""

    asked = threading.Event()

    def __init__(self, *_: object) -> None:
        self.asked.clear()

    def receive(self, *_: object) -> list[tuple[int, bytes]]:
        self.asked.set()
        time.sleep(0.05)
        return []

    def send(self, letters: list[bytes]) -> list[object]:
        raise UnavailableError("No letter leaves in this test.")


class Serving:
    """A service that runs in a thread, and how it ended."""

    def __init__(self, home: Path) -> None:
        self.service, self.ending = Service(open_site(Home(home))), list[CloisterError]()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.service.run()
        except CloisterError as error:
            self.ending.append(error)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("datasites.service.Mailbox", SilentRelay)
    monkeypatch.setattr("datasites.service.wake_calls", lambda _home: iter(threading.Event().wait, True))
    monkeypatch.setattr(sole_server, "_LONGEST_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(sole_server, "_SECONDS_BETWEEN_LOOKS", 0.1)
    return new_scene(tmp_path, POSTGRESQL)


def test_two_homes_on_one_database_are_not_served_at_once(scene: Scene, tmp_path: Path) -> None:
    first = Serving(scene.site.home.folder)
    assert SilentRelay.asked.wait(30)
    shutil.copytree(scene.site.home.folder, tmp_path / "copy")
    second = Serving(tmp_path / "copy")
    second.thread.join(30)
    assert [type(it) for it in second.ending] == [ConflictError]
    first.service.stop()
    first.thread.join(30)
    assert first.ending == []
    third = Serving(tmp_path / "copy")
    assert SilentRelay.asked.wait(30)
    third.service.stop()
    third.thread.join(30)
    assert third.ending == []


def test_a_service_whose_session_is_lost_stops(scene: Scene) -> None:
    serving = Serving(scene.site.home.folder)
    assert SilentRelay.asked.wait(30)
    with scene.site.engine.connect().execution_options(**WATCHING) as connection:
        connection.execute(text(END_SESSION))
    serving.thread.join(30)
    assert [type(it) for it in serving.ending] == [UnavailableError]


def test_one_database_belongs_to_one_datasite(scene: Scene, tmp_path: Path) -> None:
    url = scene.site.settings.database
    settings = Settings(name="Clinic B", relay="http://127.0.0.1:9", contact="owner@clinic-b.example", database=url)
    with pytest.raises(ConflictError, match="holds another datasite"):
        create_site(Home(tmp_path / "other"), settings, owner_key())
    assert not Home(tmp_path / "other").settings_file.exists()
    other = create_site(Home(tmp_path / "other"), settings.model_copy(update={"database": None}), owner_key())
    write_settings(other.home, read_settings(other.home).model_copy(update={"database": url}))
    with pytest.raises(ConflictError, match="holds another datasite"):
        Service(open_site(other.home)).run()
    assert Identity.load(other.home.keys).party != scene.site.identity.party
