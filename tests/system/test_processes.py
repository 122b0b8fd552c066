"""Relay, datasites and trainers as the machine sees them: apart from each other, and torch in the trainers only."""

import os
from pathlib import Path

from tests.system.federation import LiveFederation, cancel
from tests.system.waiting import children_of, mapped_files, wait_until_gone


def _open_files(pid: int) -> set[Path]:
    links = (entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {link for link in links if link.is_absolute() and not link.is_relative_to("/dev")}


def test_every_party_has_its_own_process_folder_keys_and_database(live: LiveFederation) -> None:
    pids = [site.pid for site in live.sites.values()]
    assert live.relay is not None
    assert len({*pids, live.relay.pid, os.getpid()}) == len(pids) + 2
    for site in live.sites.values():
        opened = _open_files(site.pid)
        assert site.database in opened
        own = (site.home, site.site.folder / "serve.log")
        strays = [path for path in opened if path.is_relative_to(live.folder) and not path.is_relative_to(own[0])]
        assert set(strays) <= {own[1]}, f"{site.name} has other people's files open"
    assert all(path.is_relative_to(live.relay_folder) or path == live.folder / "relay.log"
               for path in _open_files(live.relay.pid) if path.is_relative_to(live.folder))  # fmt: skip


def test_no_two_parties_share_a_key_and_the_service_has_not_the_owners(live: LiveFederation) -> None:
    keys = [path for site in live.sites.values() for path in site.home.joinpath("keys").iterdir()]
    keys += [site.site.folder / "owner" / "owner.pem" for site in live.sites.values()]
    contents = [path.read_bytes() for path in keys]
    assert len(contents) >= 5 * len(live.sites)
    assert len(set(contents)) == len(contents)
    for site in live.sites.values():
        assert not [path for path in site.home.rglob("*") if path.name == "owner.pem"]
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
