"""P2 under attack: nothing runs but what its owner approved, and a digest approves exactly what was shown."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from datasites.protocol.person_key import load_person_key
from datasites.requests.decide import approve, deny
from datasites.requests.records import Status
from datasites.requests.review import draft_decision
from datasites.store.data_sets import require_data_set
from policies.budget.costs import request_cost
from policies.errors import NotAuthenticError, RefusedError
from tests.attacks.closed_doors import assert_nothing_runs
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY
from tests.site_folder import NOW, PASSPHRASE

REPOSITORY = Path(__file__).parents[2]
OWNER = Ed25519PrivateKey.generate()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def approve_digest(scene: Scene, digest: str, key: Ed25519PrivateKey | None = None) -> None:
    with scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, key or scene.owner_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"site": "0" * 64},
        {"request": "0" * 64},
        {"data_set": "clinic-b"},
        {"snapshot_commitment": "0" * 64},
        {"population": "population-0"},
        {"training_units": 0},
        {"evaluation_units": 0},
        {"house_rules": "0" * 64},
        {"expires_at": NOW + 86_401},
        {"approvals": 2},
    ],
)
def test_a_digest_of_anything_but_what_was_shown_approves_nothing(scene: Scene, changes: dict[str, Any]) -> None:
    request = scene.submit()
    with scene.site.engine.begin() as connection:
        data_set = require_data_set(connection, request.data_set)
    cost = request_cost(request.terms, data_set.filter_order)
    facts, rules = (request, data_set, cost), scene.rules().digest
    shown = draft_decision(scene.site, *facts, rules, approvals=1, verdict="approve", reason="ok", now=NOW)
    assert shown.subject() == scene.shown_digest(request)
    with pytest.raises(RefusedError, match="No pending request"):
        approve_digest(scene, shown.model_copy(update=changes).subject())
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == 0


def test_an_old_digest_does_not_approve_a_request_whose_snapshot_changed_since(scene: Scene) -> None:
    request = scene.submit()
    seen = scene.shown_digest(request)
    scene.tamper("UPDATE data_sets SET snapshot_commitment = :other", other="5" * 64)
    with pytest.raises(RefusedError):
        approve_digest(scene, seen)


def test_the_digest_of_one_request_does_not_approve_another(scene: Scene) -> None:
    first, second = scene.submit(), scene.submit(OTHER_STUDY)
    approve_digest(scene, scene.shown_digest(first))
    assert scene.request(second.digest).status is Status.PENDING
    with pytest.raises(RefusedError):
        approve_digest(scene, scene.shown_digest(first))
    assert_nothing_runs(scene, second, RefusedError)


@pytest.mark.parametrize("whose", ["a stranger", "the service"])
def test_only_the_owners_key_decides(scene: Scene, whose: str) -> None:
    request = scene.submit()
    key = OWNER if whose == "a stranger" else scene.site.identity.signing
    with pytest.raises(NotAuthenticError):
        approve_digest(scene, scene.shown_digest(request), key)
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        deny(connection, scene.site, 1, "no", key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == 0


def test_the_owners_key_is_out_of_the_services_reach(scene: Scene) -> None:
    key = scene.owner_key
    shapes = [
        key.private_bytes_raw(),
        key.private_bytes_raw().hex().encode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).splitlines()[1],
    ]
    everything = b"".join(path.read_bytes() for path in scene.site.home.folder.rglob("*") if path.is_file())
    stored = (scene.owner / "key.pem").read_bytes()
    assert not any(shape in everything or shape in stored for shape in shapes)
    assert PASSPHRASE not in everything
    with pytest.raises(NotAuthenticError):
        load_person_key(scene.owner, PASSPHRASE + b"!")
    service = scene.site.identity
    assert service.card.owner_key == key.public_key().public_bytes_raw().hex()
    held = [it.public_key().public_bytes_raw().hex() for it in (service.signing, service.log) if it is not None]
    assert service.card.owner_key not in held


TWO_OWNERS = """
import sys
from pathlib import Path
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.person_key import load_person_key
from datasites.requests.decide import approve
from datasites.site import open_site
from datasites.store.home import Home
from policies.errors import CloisterError
folder, digest, now, passphrase = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
site, key = open_site(Home(folder / "home"), lambda: now), load_person_key(folder / "owner", passphrase)
print("ready", flush=True)
sys.stdin.readline()
try:
    with site.engine.begin() as connection:
        approve(connection, site, digest, key)
    print("approved", flush=True)
except CloisterError as error:
    print(type(error).__name__, flush=True)
"""


def test_two_processes_that_approve_at_once_approve_once(scene: Scene, tmp_path: Path) -> None:
    request = scene.submit()
    arguments = [str(tmp_path), scene.shown_digest(request), str(NOW), PASSPHRASE.decode()]
    owners = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_OWNERS, *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for owner in owners:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
    answers = sorted(owner.communicate("go\n", timeout=60)[0].strip() for owner in owners)
    assert answers == ["RefusedError", "approved"]
    assert scene.count("reservations") == 1
    assert [it.status for it in scene.letters() if it.type == "study-status"].count("approved") == 1
    assert not scene.audit().broken
