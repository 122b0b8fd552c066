"""P2 under attack at the moment of execution: which data is touched, and whether the approval holds by then."""

from pathlib import Path
from typing import Any

import pytest

from datasites.catalog.registration import register_data_set
from datasites.execution.team import Team
from datasites.execution.trainer_result import RoundResult
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.requests.close import close_expired
from datasites.requests.decide import deny
from datasites.requests.records import Status
from policies.errors import NotAuthenticError, RefusedError
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_LOSS, OTHER_STUDY
from tests.site_folder import LIFETIME_EPSILON, NOW, write_manifest, write_table


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


class Child:
    """Stands for a trainer process, and notes what it is given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def load(self, *_: object, **__: object) -> None:
        self.given.append("data")

    def round(self, *_: object, **__: object) -> RoundResult:
        self.given.append("round")
        return RoundResult(None, iter(()), ("seccomp",))

    def __exit__(self, *_: object) -> None:
        self.given.append("end")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    child = Child()

    def start(trainers: Trainers, request: Any, _data_set: Any) -> Child:
        trainers._running[request.digest] = child
        trainers._teams[request.digest] = Team(1)
        return child

    monkeypatch.setattr(Trainers, "start", start)
    return child


def replace_snapshot(scene: Scene, content: bytes) -> None:
    (path,) = scene.site.home.snapshots.glob("*.snapshot")
    path.chmod(0o600)
    path.write_bytes(content)


def other_snapshot(scene: Scene, folder: Path) -> Any:
    """Another data set of other people, registered by the same owner."""
    manifest = write_manifest(folder / "other.toml", "clinic-b")
    return register_data_set(scene.site, manifest, write_table(folder / "other.csv", first=5000), LIFETIME_EPSILON)


# ---- which data


def test_a_snapshot_swapped_on_disk_never_reaches_the_trainer(scene: Scene, child: Child, tmp_path: Path) -> None:
    request = scene.ready()
    other = other_snapshot(scene, tmp_path)
    swapped = (scene.site.home.snapshots / other.snapshot_file).read_bytes()
    (path,) = [it for it in scene.site.home.snapshots.glob("*.snapshot") if it.name != other.snapshot_file]
    path.chmod(0o600)
    path.write_bytes(swapped)
    scene.ask(request, 1)
    assert Worker(scene.site, Trainers(scene.site)).work()
    assert "data" not in child.given
    assert "round" not in child.given
    assert scene.request(request.digest).status is Status.FAILED
    assert not scene.updates()
    assert not scene.audit().broken


def test_one_bit_of_a_snapshot_is_noticed(scene: Scene, child: Child) -> None:
    request = scene.ready()
    (path,) = scene.site.home.snapshots.glob("*.snapshot")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    replace_snapshot(scene, bytes(content))
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(NotAuthenticError):
        Trainers(scene.site).compute(assignment)
    assert child.given == []


def test_the_data_set_cannot_be_pointed_at_another_snapshot(scene: Scene, tmp_path: Path) -> None:
    request = scene.approved()
    other = other_snapshot(scene, tmp_path)
    scene.tamper(
        "UPDATE data_sets SET snapshot_commitment = :commitment, snapshot_file = :file WHERE name = 'clinic-a'",
        commitment=other.snapshot_commitment,
        file=other.snapshot_file,
    )
    with pytest.raises(NotAuthenticError):
        scene.start(request)


def test_the_data_set_cannot_be_pointed_at_another_file(scene: Scene, child: Child, tmp_path: Path) -> None:
    request = scene.ready()
    other = other_snapshot(scene, tmp_path)
    scene.tamper("UPDATE data_sets SET snapshot_file = :file WHERE name = 'clinic-a'", file=other.snapshot_file)
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(NotAuthenticError):
        Trainers(scene.site).compute(assignment)
    assert child.given == []


def test_the_data_set_cannot_be_moved_to_another_population(scene: Scene, tmp_path: Path) -> None:
    request = scene.approved()
    other = other_snapshot(scene, tmp_path)
    scene.tamper("UPDATE data_sets SET population = :other WHERE name = 'clinic-a'", other=other.population)
    with pytest.raises(NotAuthenticError):
        scene.start(request)


def test_an_edited_manifest_is_not_the_one_that_the_snapshot_was_made_by(scene: Scene, child: Child) -> None:
    """It says how a record is read: it is part of what was approved."""
    request = scene.ready()
    scene.tamper("""UPDATE data_sets SET manifest = replace(manifest, '"maximum"\\:98', '"maximum"\\:99')""")
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(NotAuthenticError):
        Trainers(scene.site).compute(assignment)
    assert child.given == []


def test_a_manifest_with_other_units_than_the_terms_give_is_charged_for_nothing(scene: Scene, child: Child) -> None:
    """nominal_units sizes batches and divides the noised sum; the other sites count on that noise."""
    request = scene.ready()
    scene.tamper(
        """UPDATE data_sets SET manifest = replace(manifest, '"nominal_units"\\:100', '"nominal_units"\\:400')"""
    )
    with pytest.raises(RefusedError, match="its manifest declares 300 and 100"):
        scene.ask(request, 1)
    assert child.given == []
    assert scene.count("charges") == 0


# ---- when


def test_nothing_runs_before_the_approval(scene: Scene) -> None:
    request = scene.submit()
    with pytest.raises(RefusedError, match="not approved"):
        scene.start(request)
    with pytest.raises(RefusedError, match="not approved"):
        scene.ask(request, 1)


def test_nothing_runs_after_a_denial(scene: Scene) -> None:
    request = scene.submit()
    with scene.site.engine.begin() as connection:
        deny(connection, scene.site, request.number, "not for us", scene.owner_key)
    with pytest.raises(RefusedError, match="denied"):
        scene.start(request)


def test_nothing_runs_from_the_second_of_expiry_on(scene: Scene) -> None:
    request = scene.ready()
    scene.clock.seconds = request.terms.expires_at - 1
    assert scene.ask(request, 1)
    scene.clock.seconds = request.terms.expires_at
    assert scene.charge() is None
    assert scene.count("charges") == 0
    assert [it.type for it in scene.letters()][-1] == "round-refused"
    with pytest.raises(RefusedError, match="expired"):
        scene.ask(request, 1)
    with scene.site.engine.begin() as connection:
        close_expired(connection, scene.now, None)
    scene.clock.seconds = NOW
    with pytest.raises(RefusedError):
        scene.ask(request, 1)


def test_a_longer_expiry_written_into_the_database_is_not_the_approved_one(scene: Scene) -> None:
    request = scene.ready()
    scene.clock.seconds = request.terms.expires_at + 10
    longer = scene.terms(expires_at=request.terms.expires_at + 10_000)
    scene.tamper(
        "UPDATE requests SET expires_at = :at, terms = :terms", at=longer.expires_at, terms=longer.canonical().decode()
    )
    with pytest.raises(NotAuthenticError):
        scene.ask(request, 1)


def test_an_approval_withdrawn_between_asking_and_charging_charges_nothing(scene: Scene) -> None:
    request = scene.ready()
    assert scene.ask(request, 1)
    scene.tamper("UPDATE requests SET status = 'closed'")
    assert scene.charge() is None
    assert scene.count("charges") == 0


def test_one_tampered_study_does_not_stop_the_others(scene: Scene) -> None:
    """What is noticed at the charge ends that round; it must not end the service that other studies live by."""
    good = scene.ready()
    bad = scene.ready(OTHER_STUDY)
    for request in (good, bad):
        assert scene.ask(request, 1)
    scene.tamper("UPDATE requests SET loss_program = :other WHERE study = :study", other=OTHER_LOSS, study=OTHER_STUDY)
    scene.tamper(
        "UPDATE requests SET terms = :terms WHERE study = :study",
        terms=scene.terms(OTHER_STUDY, title="Edited").canonical().decode(),
        study=OTHER_STUDY,
    )
    charged = [it for it in (scene.charge() for _ in range(3)) if it is not None]
    assert [it.request.digest for it in charged] == [good.digest]
    assert [it.study for it in scene.letters() if it.type == "round-refused"] == [OTHER_STUDY]
