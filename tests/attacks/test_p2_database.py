"""P2 under attack in the database: rows edited behind the datasite are noticed before anything runs."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.requests.decide import deny
from datasites.requests.records import Status
from datasites.requests.review import draft_decision, review
from datasites.store.data_sets import require_data_set
from policies.budget.costs import request_cost
from policies.decision import SignedDecisions, sign_decision
from policies.errors import NotAuthenticError, RefusedError
from policies.programs.digests import PARAMETERS_DOMAIN
from tests.attacks.closed_doors import assert_nothing_runs
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_INITIAL, OTHER_LOSS, OTHER_STUDY, STUDY
from tests.site_folder import NOW

OWNER = Ed25519PrivateKey.generate()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def test_a_denial_turned_into_an_approval_is_noticed(scene: Scene) -> None:
    request = scene.submit()
    with scene.site.engine.begin() as connection:
        deny(connection, scene.site, request.number, "not for us", scene.owner_key)
    scene.tamper("UPDATE requests SET status = 'approved'")
    assert_nothing_runs(scene, request, NotAuthenticError)
    scene.tamper("""UPDATE requests SET decision = replace(decision, '"verdict":"deny"', '"verdict":"approve"')""")
    assert_nothing_runs(scene, request, NotAuthenticError)


def test_the_decision_of_another_request_is_no_decision(scene: Scene) -> None:
    scene.approved()
    other = scene.submit(OTHER_STUDY)
    scene.tamper(
        "UPDATE requests SET status = 'approved', decision = (SELECT decision FROM requests WHERE study = :good) "
        "WHERE study = :other",
        good=STUDY,
        other=OTHER_STUDY,
    )
    assert_nothing_runs(scene, other, NotAuthenticError)


def test_an_approved_request_cannot_lend_terms_and_decision_to_another(scene: Scene) -> None:
    """The copied pair agrees with itself; the row that it was copied into is of another request all the same."""
    scene.approved()
    other = scene.approved(OTHER_STUDY)
    scene.tamper(
        "UPDATE requests SET terms = (SELECT terms FROM requests WHERE study = :good), "
        "decision = (SELECT decision FROM requests WHERE study = :good) WHERE study = :other",
        good=STUDY,
        other=OTHER_STUDY,
    )
    assert_nothing_runs(scene, other, NotAuthenticError)


def test_a_status_without_a_decision_is_no_approval(scene: Scene) -> None:
    request = scene.submit()
    scene.tamper("UPDATE requests SET status = 'running'")
    assert_nothing_runs(scene, request, RefusedError)


@pytest.mark.parametrize("signer", ["signing", "log", "stranger"])
@pytest.mark.parametrize("claims_owner", [True, False])
def test_a_decision_signed_by_any_other_key_is_noticed(scene: Scene, signer: str, claims_owner: bool) -> None:
    request = scene.submit()
    key = {"signing": scene.site.identity.signing, "log": scene.site.identity.log, "stranger": OWNER}[signer]
    assert key is not None
    with scene.site.engine.begin() as connection:
        data_set = require_data_set(connection, request.data_set)
    cost = request_cost(request.terms, data_set.filter_order)
    facts = (request, data_set, cost, scene.rules().digest)
    decision = draft_decision(scene.site, *facts, approvals=1, verdict="approve", reason="ok", now=NOW)
    signed = sign_decision(key, decision)
    if claims_owner:
        signed = signed.model_copy(update={"signer": scene.site.identity.card.owner_key})
    scene.tamper(
        "UPDATE requests SET status = 'approved', decision = :decision",
        decision=SignedDecisions(signed=(signed,)).canonical().decode(),
    )
    assert_nothing_runs(scene, request, NotAuthenticError)


def test_terms_edited_after_the_approval_are_noticed(scene: Scene) -> None:
    request = scene.approved()
    richer = scene.terms(training={"rounds": 4, "noise_multiplier": 0.1})
    scene.tamper("UPDATE requests SET terms = :terms", terms=richer.canonical().decode())
    assert_nothing_runs(scene, request, NotAuthenticError)


WHAT_RUNS = [
    ("loss_program", OTHER_LOSS),
    ("metrics_program", OTHER_LOSS.replace('"loss"', '"probability"')),
    ("parameters_file", OTHER_INITIAL),
    ("source", "class Harmless: ...\n"),
]
NAMES = [name for name, _ in WHAT_RUNS]


class Child:
    """Stands for the trainer process, and notes what it is handed."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def prepare(self, _study: object, parameters: Iterable[bytes], *_: object, **__: object) -> None:
        for _piece in parameters:  # as they are written to a trainer's pipe
            pass
        HANDED.append("programs")

    def load(self, *_: object, **__: object) -> None:
        HANDED.append("data")


HANDED: list[str] = []


@pytest.mark.parametrize("edited", ["before the run is set up", "between asking and charging"])
@pytest.mark.parametrize(("column", "content"), WHAT_RUNS, ids=NAMES)
def test_what_runs_is_compared_with_the_digests_that_were_approved(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, column: str, content: str | bytes, edited: str
) -> None:
    monkeypatch.setattr("datasites.execution.trainers.TrainerProcess", Child)
    HANDED.clear()
    request = scene.ready()
    if edited == "between asking and charging":
        scene.ask(request, 1)
    if isinstance(content, bytes):
        with scene.site.contents.saved((content,), PARAMETERS_DOMAIN, len(content)) as file:
            content = file.name
    scene.tamper(f"UPDATE requests SET {column} = :content", content=content)  # noqa: S608 – a name from the list above
    worker = Worker(scene.site, Trainers(scene.site))
    while worker.work():
        pass
    assert HANDED == []
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.updates() == []
    assert scene.audit().broken == []


@pytest.mark.parametrize(("column", "content"), [it for it in WHAT_RUNS if it[0] != "parameters_file"])
def test_what_was_edited_before_the_decision_is_not_shown_as_the_request(
    scene: Scene, column: str, content: str | bytes
) -> None:
    """The owner must not read one source and sign for another."""
    request = scene.submit()
    scene.tamper(f"UPDATE requests SET {column} = :content", content=content)  # noqa: S608 – a name from the list above
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        review(connection, scene.site, scene.request_in(connection, request))


def test_terms_edited_before_the_decision_are_not_shown_as_the_request(scene: Scene) -> None:
    request = scene.submit()
    scene.tamper(
        "UPDATE requests SET terms = :terms", terms=scene.terms(purpose="Something nicer").canonical().decode()
    )
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        review(connection, scene.site, scene.request_in(connection, request))
