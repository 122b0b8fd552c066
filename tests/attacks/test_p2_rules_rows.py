"""P2 under attack in the rules' own file and rows: rules and grounds that were edited approve and run nothing."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.execution.approval import require_approval
from datasites.requests.records import Status
from datasites.store.adopted_rules import adopt
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.rules.adoption import SignedAdoption, sign_adoption
from policies.statements.canonical import canonical_bytes, parse_json
from tests.attacks.ruled_site import SMALL, asked, automatic, by_rules, new_ruled_scene
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY
from tests.site_folder import NOW

THIRD = "3" * 32


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_ruled_scene(tmp_path, database)


def test_a_file_edited_behind_the_datasites_back_approves_nothing(scene: Scene) -> None:
    """Neither by itself nor by a person, who might not know."""
    scene.approved(**SMALL)
    file = scene.site.home.house_rules_file
    file.write_text(file.read_text().replace("studies_a_quarter = 2", "studies_a_quarter = 100"))
    request = asked(scene)
    assert (request.status, by_rules(scene)) == (Status.PENDING, [])
    with pytest.raises(RefusedError, match="not what the owner adopted"):
        scene.approve(request)
    file.unlink()
    with pytest.raises(RefusedError, match="not what the owner adopted"):
        scene.approve(request)


def edited(scene: Scene) -> str:
    statement = parse_json(scene.rules().signed.canonical(), maximum_bytes=1 << 20, what="it")
    statement["adoption"]["rules"]["auto_approval"]["studies_a_quarter"] = 100
    return canonical_bytes(statement).decode()


def foreign(scene: Scene) -> str:
    return sign_adoption(Ed25519PrivateKey.generate(), scene.rules().signed.adoption).canonical().decode()


@pytest.mark.parametrize("forge", [edited, foreign, lambda _: "{}"])
def test_an_edited_row_of_adopted_rules_approves_nothing(scene: Scene, forge: Any) -> None:
    scene.approved(**SMALL)
    scene.tamper("UPDATE adopted_rules SET statement = :it WHERE number = 2", it=forge(scene))
    request = asked(scene)
    assert request.status is Status.PENDING
    with pytest.raises(NotAuthenticError):
        scene.approve(request)
    with pytest.raises(NotAuthenticError):
        scene.rules()


def test_rules_of_old_cannot_be_moved_to_the_front(scene: Scene) -> None:
    automatic(scene, number=1)
    scene.tamper("UPDATE adopted_rules SET number = 4 WHERE number = 2")
    with pytest.raises(NotAuthenticError):
        scene.rules()


def test_rules_that_were_taken_away_show_in_the_log(scene: Scene) -> None:
    """The row of the strictest rules is deleted: those before hold again, and the next decision gives it away."""
    scene.approved(**SMALL)
    automatic(scene, number=1)
    assert [asked(scene, f"{n:032x}").status for n in (5, 6)] == [Status.APPROVED, Status.PENDING]
    scene.tamper("DELETE FROM adopted_rules WHERE number = 3")
    scene.site.home.house_rules_file.write_text(
        scene.site.home.house_rules_file.read_text().replace("studies_a_quarter = 1", "studies_a_quarter = 2")
    )
    assert asked(scene, THIRD).status is Status.APPROVED
    assert "other house rules than those that held" in str(scene.audit().broken)


def test_nobody_but_the_owner_adopts_rules(scene: Scene) -> None:
    rules, stranger = scene.rules().rules, Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        adopt(connection, scene.site.identity.card, rules, stranger, scene.now)


GROUNDS: dict[str, Any] = {
    "other rules": lambda it: {"adoption": SignedAdoption(**{**dict(it.adoption), "signature": "0" * 128})},
    "another precedent": lambda it: {"approval": it.approval.model_copy(update={"precedent": "0" * 64})},
    "another request": lambda it: {"approval": it.approval.model_copy(update={"request": "0" * 64})},
    "a later end": lambda it: {"approval": it.approval.model_copy(update={"expires_at": NOW + 10**8})},
    "other units": lambda it: {"approval": it.approval.model_copy(update={"training_units": 1})},
    "another snapshot": lambda it: {"approval": it.approval.model_copy(update={"snapshot_commitment": "0" * 64})},
}


@pytest.mark.parametrize("change", GROUNDS)
def test_an_approval_by_the_rules_that_was_edited_runs_nothing(scene: Scene, change: str) -> None:
    scene.approved(**SMALL)
    request = asked(scene)
    assert request.ground is not None
    forged = request.ground.model_copy(update=GROUNDS[change](request.ground)).canonical().decode()
    scene.tamper("UPDATE requests SET ground = :it WHERE digest = :digest", it=forged, digest=request.digest)
    refuses(scene, NotAuthenticError)


def test_an_approval_by_the_rules_cannot_be_carried_over_to_another_program(scene: Scene) -> None:
    """The ground names the forged request, with everything consistent but the likeness."""
    scene.approved(**SMALL)
    scene.clock.seconds += 1
    good = asked(scene)
    other = scene.submit(THIRD, **SMALL, purpose="Something else")
    assert good.ground is not None
    approval = good.ground.approval.model_copy(update={"request": other.digest})
    forged = good.ground.model_copy(update={"approval": approval}).canonical().decode()
    scene.tamper(
        "UPDATE requests SET ground = :it, status = 'approved' WHERE digest = :digest", it=forged, digest=other.digest
    )
    refuses(scene, NotAuthenticError, THIRD)


def test_an_approval_whose_precedent_was_denied_since_runs_nothing(scene: Scene) -> None:
    """Whatever takes a person's approval back ends what it carried."""
    first = scene.approved(**SMALL)
    asked(scene)
    scene.tamper("UPDATE requests SET status = 'denied' WHERE digest = :digest", digest=first.digest)
    refuses(scene, RefusedError)


def refuses(scene: Scene, error: type[CloisterError], study: str = OTHER_STUDY) -> None:
    with pytest.raises(error), scene.site.engine.begin() as connection:
        require_approval(connection, scene.site, scene.researcher.party, study, scene.now)
