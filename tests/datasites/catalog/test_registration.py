"""Registering data: one budget for one person, whatever the file is called, and nothing half done."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasites.catalog import registration
from datasites.catalog.registration import register_data_set
from datasites.catalog.snapshot import open_snapshot
from datasites.catalog.snapshot_folder import registering, remove_leftovers
from datasites.store.data_sets import DataSet, all_data_sets, find_data_set, require_data_set
from policies.errors import CloisterError, ConflictError, InvalidInputError, RefusedError
from policies.log.budget_entries import PopulationOpened
from policies.log.entries import DataSetRegistered
from policies.log.journal import entries
from tests.one_site import Scene
from tests.site_folder import LIFETIME_EPSILON, write_manifest, write_table


def register(
    scene: Scene,
    folder: Path,
    name: str = "clinic-b",
    *,
    first: int = 0,
    patients: int = 100,
    epsilon: float = LIFETIME_EPSILON,
    holdout: float = 0.25,
) -> DataSet:
    manifest = write_manifest(folder / f"{name}.toml", name, holdout)
    return register_data_set(scene.site, manifest, write_table(folder / f"{name}.csv", patients, first), epsilon)


def existing(scene: Scene) -> DataSet:
    with scene.site.engine.begin() as connection:
        return require_data_set(connection, "clinic-a")


def test_new_people_get_a_budget_of_their_own(scene: Scene, tmp_path: Path) -> None:
    made = register(scene, tmp_path, first=5000, epsilon=3.0)
    assert made.population != existing(scene).population
    assert (made.epsilon, made.delta) == (3.0, 1e-6)
    with scene.site.engine.begin() as connection:
        last = [entry for _, entry in entries(connection)][-2:]
    assert [type(entry) for entry in last] == [PopulationOpened, DataSetRegistered]
    assert scene.audit().broken == []
    path = scene.site.home.snapshots / made.snapshot_file
    with open_snapshot(path, made.snapshot_commitment, scene.site.catalog_keys.commitment) as snapshot:
        assert snapshot.layout.manifest == made.manifest.digest()


def test_the_same_people_under_another_name_draw_on_the_budget_they_have(scene: Scene, tmp_path: Path) -> None:
    scene.compute(scene.ready(), 1)
    made = register(scene, tmp_path)
    assert made.population == existing(scene).population
    assert scene.count("populations") == 1
    assert scene.balance().training.spent_units > 0
    assert scene.audit().broken == []


def test_one_shared_person_is_enough_and_brings_the_others_along(scene: Scene, tmp_path: Path) -> None:
    made = register(scene, tmp_path, "clinic-b", first=99)
    assert made.population == existing(scene).population
    # Whoever came along with that one person is known now, too.
    assert register(scene, tmp_path, "clinic-c", first=198).population == made.population
    assert scene.count("populations") == 1


def test_people_of_two_populations_are_refused(scene: Scene, tmp_path: Path) -> None:
    register(scene, tmp_path, "clinic-b", first=5000)
    manifest = write_manifest(tmp_path / "bridge.toml", "bridge")
    table = write_table(tmp_path / "bridge.csv", 50, first=50)
    more = write_table(tmp_path / "more.csv", 50, first=5000).read_text().split("\n", 1)[1]
    table.write_text(table.read_text() + more)
    with pytest.raises(RefusedError, match="2 populations"):
        register_data_set(scene.site, manifest, table, LIFETIME_EPSILON)
    assert scene.count("data_sets") == 2


@pytest.mark.parametrize("epsilon", [LIFETIME_EPSILON + 1, LIFETIME_EPSILON - 1])
def test_another_budget_for_the_same_people_is_refused(scene: Scene, tmp_path: Path, epsilon: float) -> None:
    assert_refused(scene, tmp_path, RefusedError, epsilon=epsilon)


def test_another_split_of_the_same_people_is_refused(scene: Scene, tmp_path: Path) -> None:
    assert_refused(scene, tmp_path, RefusedError, holdout=0.3)


def test_a_delta_too_large_for_more_people_is_refused(scene: Scene, tmp_path: Path) -> None:
    scene.tamper("UPDATE populations SET delta = 0.01")
    assert_refused(scene, tmp_path, RefusedError)


def test_delta_stays_below_one_in_ten_times_the_people(scene: Scene, tmp_path: Path) -> None:
    made = register(scene, tmp_path, first=5000)
    assert made.delta <= min(1e-6, 1 / (10 * made.manifest.privacy_unit.nominal_units))


def test_a_name_is_taken_once(scene: Scene, tmp_path: Path) -> None:
    assert_refused(scene, tmp_path, ConflictError, name="clinic-a")


def test_names_that_syft_keeps_for_itself_are_refused(scene: Scene, tmp_path: Path) -> None:
    assert_refused(scene, tmp_path, InvalidInputError, name="v12", first=5000)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 101.0, float("nan"), 1e-9])
def test_impossible_budgets_are_refused(scene: Scene, tmp_path: Path, epsilon: float) -> None:
    assert_refused(scene, tmp_path, CloisterError, first=5000, epsilon=epsilon)


def test_too_few_people_are_refused_and_open_no_budget(scene: Scene, tmp_path: Path) -> None:
    assert_refused(scene, tmp_path, InvalidInputError, first=5000, patients=49)


def test_files_that_cannot_be_read_are_named(scene: Scene, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "x.toml", "clinic-x")
    with pytest.raises(CloisterError):
        register_data_set(scene.site, manifest, tmp_path / "missing.csv", 3.0)
    with pytest.raises(CloisterError):
        register_data_set(scene.site, tmp_path / "missing.toml", tmp_path / "missing.csv", 3.0)


def test_data_sets_are_found_by_name(scene: Scene, tmp_path: Path) -> None:
    register(scene, tmp_path, first=5000)
    with scene.site.engine.begin() as connection:
        assert [it.name for it in all_data_sets(connection)] == ["clinic-a", "clinic-b"]
        assert find_data_set(connection, "clinic-z") is None
        with pytest.raises(InvalidInputError):
            require_data_set(connection, "clinic-z")


KILLED = """
import os, signal, sys
from pathlib import Path
from datasites.catalog import registration, snapshot_writer
from datasites.catalog.registration import register_data_set
from datasites.site import open_site
from datasites.store.home import Home
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
home, manifest, table, where = sys.argv[1:]
if where == "while the snapshot is written":
    true_parts = snapshot_writer._parts
    def parts(*given):
        stream = true_parts(*given)
        yield next(stream)
        yield next(stream)
        die()
    snapshot_writer._parts = parts
elif where == "before it is renamed":
    os.fchmod = die
else:
    registration._register = die
register_data_set(open_site(Home(Path(home))), Path(manifest), Path(table), 3.0)
"""


@pytest.mark.parametrize("where", ["while the snapshot is written", "before it is renamed", "before it is recorded"])
def test_a_registration_that_was_killed_leaves_nothing_after_the_next_start(
    scene: Scene, tmp_path: Path, where: str
) -> None:
    tables = ("populations", "data_sets", "unit_fingerprints", "log_entries")
    before = [scene.count(table) for table in tables]
    files = sorted(scene.site.home.snapshots.iterdir())
    manifest, table = write_manifest(tmp_path / "b.toml", "clinic-b"), write_table(tmp_path / "b.csv", first=5000)
    home = scene.site.home.folder
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), str(manifest), str(table), where], check=False, stderr=subprocess.PIPE
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert sorted(scene.site.home.snapshots.iterdir()) != files
    remove_leftovers(scene.site)
    assert sorted(scene.site.home.snapshots.iterdir()) == files
    assert [scene.count(table) for table in tables] == before
    assert register(scene, tmp_path, first=5000, epsilon=3.0).name == "clinic-b"


def test_one_registration_at_a_time_and_nobody_sweeps_under_it(scene: Scene, tmp_path: Path) -> None:
    with registering(scene.site):
        busy = scene.site.home.snapshots / "unfinished-busy"
        busy.write_bytes(b"half")
        remove_leftovers(scene.site)
        assert busy.exists()
        with pytest.raises(ConflictError, match="being registered"):
            register(scene, tmp_path, first=5000)
    assert not busy.exists()


def test_a_table_that_changes_between_the_passes_is_refused(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_write = registration.write_snapshot

    def write(*given: Any) -> Any:
        text = (tmp_path / "clinic-b.csv").read_text().splitlines()
        (tmp_path / "clinic-b.csv").write_text("\n".join([text[0], *reversed(text[1:])]))
        return true_write(*given)

    monkeypatch.setattr(registration, "write_snapshot", write)
    files = sorted(scene.site.home.snapshots.iterdir())
    assert_refused(scene, tmp_path, InvalidInputError, first=5000)
    assert sorted(scene.site.home.snapshots.iterdir()) == files


def assert_refused(scene: Scene, folder: Path, expected: type[CloisterError], **changes: object) -> None:
    tables = ("populations", "data_sets", "unit_fingerprints", "log_entries")
    before = [scene.count(table) for table in tables]
    with pytest.raises(expected):
        register(scene, folder, **changes)
    assert [scene.count(table) for table in tables] == before
