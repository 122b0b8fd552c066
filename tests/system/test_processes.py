"""Relay, datasites and trainers as the machine sees them: apart from each other, and torch in the trainers only."""

import contextlib
import os
from pathlib import Path

from tests.system.federation import LiveFederation, cancel
from tests.system.waiting import children_of, eventually, mapped_files, wait_until_gone


def _open_files(pid: int) -> set[Path]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found.add(entry.readlink())
    return found


def _strays(live: LiveFederation, pid: int, home: Path, log: Path) -> set[Path]:
    opened = {path for path in _open_files(pid) if path.is_relative_to(live.folder)}
    assert opened, "the process has no file open at all, so that this would show nothing"
    return {path for path in opened if not path.is_relative_to(home)} - {log}


def test_every_party_has_its_own_process_folder_keys_and_database(live: LiveFederation) -> None:
    pids = [site.pid for site in live.sites.values()]
    assert live.relay is not None
    assert len({*pids, live.relay.pid, os.getpid()}) == len(pids) + 2
    for site in live.sites.values():
        eventually(lambda site=site: site.database in _open_files(site.pid), f"{site.name} with its database open")
        assert not _strays(live, site.pid, site.home, site.site.folder / "serve.log"), f"{site.name} has others' files"
    assert not _strays(live, live.relay.pid, live.relay_folder, live.folder / "relay.log")


def test_no_two_parties_share_a_key_and_the_service_has_not_the_owners(live: LiveFederation) -> None:
    keys = [path for site in live.sites.values() for path in site.home.joinpath("keys").iterdir()]
    keys += [site.site.folder / "owner" / "key.pem" for site in live.sites.values()]
    contents = [path.read_bytes() for path in keys]
    assert len(contents) >= 5 * len(live.sites)
    assert len(set(contents)) == len(contents)
    for site in live.sites.values():
        assert not [path for path in site.home.rglob("*") if path.name == "key.pem"]
        assert {path.stat().st_mode & 0o077 for path in site.home.joinpath("keys").iterdir()} == {0}


def test_only_the_trainer_has_torch_and_it_ends_with_its_datasite(live: LiveFederation) -> None:
    study = live.pending_study()
    for site in live.sites.values():
        assert "libtorch_cpu.so" in mapped_files(site.trainer())
        assert not [name for name in mapped_files(site.pid) if "torch" in name]
        assert children_of(site.trainer()) == []
    assert live.relay is not None
    assert not [name for name in mapped_files(live.relay.pid) if "torch" in name]

    bern = live.sites["bern-hospital"]
    trainer = bern.trainer()
    bern.kill()
    wait_until_gone(trainer)
    bern.serve()
    cancel(study, live.sites.values())
    assert bern.trainers() == []
