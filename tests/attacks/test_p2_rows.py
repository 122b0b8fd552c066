"""P2 under attack in every table that an execution reads: an edited row is noticed before anything is charged."""

from pathlib import Path

import pytest
from sqlalchemy import text

from datasites.catalog.registration import register_data_set
from datasites.execution.setup import start_run
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity
from datasites.protocol.messages import CatalogRequest, SetupStart
from datasites.requests.records import Status
from datasites.secure_averaging.advertisement import Advertisement, create
from datasites.store.peers import pinned_card
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.programs.digests import MODEL_DOMAIN
from policies.statements.canonical import canonical_bytes
from tests.attacks.closed_doors import assert_nothing_runs
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_RUN, OTHER_STUDY, RUN, STUDY, model
from tests.site_folder import LIFETIME_EPSILON, write_manifest, write_table


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def assert_refused_at_the_charge(scene: Scene, study: str) -> None:
    """The round that was asked is dropped, its study ends, nothing is charged and nothing leaves."""
    assert scene.charge() is None
    with scene.site.engine.begin() as connection:
        status = connection.execute(text("SELECT status FROM requests WHERE study = :it"), {"it": study}).scalar_one()
    assert status == Status.FAILED
    assert scene.count("charges") == 0
    assert scene.updates() == []


def test_an_approved_study_made_over_to_another_researcher_answers_neither(scene: Scene) -> None:
    """Eve's name in the sender's column: the owner approved Ada's request, and Eve would get its answers."""
    request, eve = scene.approved(), scene.other_researcher.party
    scene.tamper("UPDATE requests SET sender = :eve", eve=eve)
    with pytest.raises(NotAuthenticError):
        scene.start(request, sender=eve)
    with pytest.raises(RefusedError):
        scene.start(request)
    assert scene.count("mask_keys") == 0


def test_a_study_made_over_between_asking_and_charging_charges_nothing(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    scene.tamper("UPDATE requests SET sender = :eve", eve=scene.other_researcher.party)
    assert_refused_at_the_charge(scene, STUDY)


def test_two_approved_studies_whose_names_are_swapped_do_not_run_for_each_other(scene: Scene) -> None:
    first, second = scene.approved(), scene.approved(OTHER_STUDY)
    scene.tamper("UPDATE requests SET study = 'x' WHERE digest = :it", it=first.digest)
    scene.tamper("UPDATE requests SET study = :name WHERE digest = :it", name=STUDY, it=second.digest)
    scene.tamper("UPDATE requests SET study = :name WHERE digest = :it", name=OTHER_STUDY, it=first.digest)
    for name, other in ((STUDY, second), (OTHER_STUDY, first)):
        message = SetupStart(study=name, run=RUN, terms_digest=other.digest)
        with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
            start_run(connection, scene.site, scene.researcher.party, message, scene.now)


def test_an_approved_study_cannot_be_pointed_at_another_registered_data_set(scene: Scene, tmp_path: Path) -> None:
    """Other people, another budget: the column is changed, the terms still say the first."""
    manifest = write_manifest(tmp_path / "b.toml", "clinic-b")
    register_data_set(scene.site, manifest, write_table(tmp_path / "b.csv", first=500), LIFETIME_EPSILON)
    request = scene.approved()
    scene.tamper("UPDATE requests SET data_set = 'clinic-b'")
    assert_nothing_runs(scene, request, NotAuthenticError)


def test_another_filter_order_written_after_the_approval_makes_no_round_cheaper(scene: Scene) -> None:
    """The order fixes what a mechanism costs; the owner signed for units at the first one."""
    request = scene.approved()
    scene.tamper("UPDATE populations SET filter_order = 2")
    assert_nothing_runs(scene, request, NotAuthenticError)


def test_a_global_model_exchanged_on_disk_is_not_trained_on_in_the_name_of_the_first(scene: Scene) -> None:
    """The log and the masks' context would name a model that no record ever met."""
    request = scene.ready()
    scene.ask(request, 1)
    with scene.site.contents.saved((model(7.0),), MODEL_DOMAIN, len(model())) as other:
        scene.tamper("UPDATE rounds SET model_file = :other", other=other.name)
    assert_refused_at_the_charge(scene, STUDY)


def test_a_roster_rewritten_on_disk_is_checked_against_the_pinned_keys_before_the_charge(scene: Scene) -> None:
    """Keys of the attacker's own in the place of both partners': it could take every mask off again."""
    request = scene.approved()
    own = scene.start(request)
    scene.accept(scene.roster(request, own))
    scene.ask(request, 1)
    thief = scene.other_researcher
    forged = [own] + [create(thief.signing, it.party, request.digest, RUN, 4)[0] for it in scene.partners]
    scene.tamper("UPDATE runs SET roster = :roster", roster=roster_text(forged))
    assert_refused_at_the_charge(scene, STUDY)


def test_a_roster_cut_down_to_two_sites_on_disk_is_not_answered(scene: Scene) -> None:
    request = scene.approved()
    own = scene.start(request)
    roster = scene.roster(request, own)
    scene.accept(roster)
    scene.ask(request, 1)
    scene.tamper("UPDATE runs SET roster = :roster", roster=roster_text(list(roster.advertisements[:2])))
    assert_refused_at_the_charge(scene, STUDY)


def test_a_run_renamed_on_disk_uses_no_mask_of_the_first(scene: Scene) -> None:
    """Another run's name gives other contexts, so that one key pair would make two masks."""
    request = scene.ready()
    scene.ask(request, 1)
    with scene.site.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for table in ("runs", "rounds"):
            connection.exec_driver_sql(f"UPDATE {table} SET run = '{OTHER_RUN}'")  # noqa: S608
    assert_refused_at_the_charge(scene, STUDY)


def test_mask_keys_exchanged_between_rounds_answer_nothing(scene: Scene) -> None:
    """Round 2's key in round 1 would be used twice, and two answers under one key could be compared."""
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.tamper(
        "UPDATE mask_keys SET private_key = (SELECT private_key FROM mask_keys WHERE round = 2) WHERE round = 1"
    )
    with pytest.raises(InvalidInputError):
        scene.answer(assignment)
    assert scene.updates() == []


def test_a_computed_round_that_is_erased_is_not_computed_again_from_another_model(scene: Scene) -> None:
    """Two answers from two models would be two looks at the data for one charge."""
    request = scene.ready()
    scene.compute(request, 1)
    scene.send_all()
    scene.tamper("DELETE FROM rounds")
    assert scene.ask(request, 1, model(1.0))
    assert scene.charge() is None
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.updates() == []


def test_a_round_erased_together_with_its_charges_finds_no_key_to_answer_with(scene: Scene) -> None:
    """Whoever forges the ledger too has the budget back; the mask of a round that was answered stays gone."""
    request = scene.ready()
    scene.compute(request, 1)
    scene.send_all()
    scene.tamper("DELETE FROM rounds")
    scene.tamper("DELETE FROM charges")
    assert scene.ask(request, 1, model(1.0))
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(ConflictError, match="mask key is spent"):
        scene.answer(assignment)
    assert scene.updates() == []
    assert any("charged twice" in it.reason for it in scene.audit().broken)


def test_a_closed_study_set_back_to_approved_spends_nothing(scene: Scene) -> None:
    request = scene.ready()
    scene.tamper("UPDATE requests SET status = 'closed'")
    scene.tamper("UPDATE reservations SET state = 'closed', closed_at = 1")
    scene.tamper("UPDATE requests SET status = 'approved'")
    scene.ask(request, 1)
    assert scene.charge() is None
    assert scene.count("charges") == 0


def test_a_card_exchanged_on_disk_lets_nobody_write_in_anothers_name(scene: Scene) -> None:
    """Eve's own card, genuine and self-signed, in Ada's row: her signature would pass for Ada's."""
    site, ada, eve = scene.site, scene.researcher, scene.other_researcher
    letter = seal(Identity(ada.card, eve.signing, eve.sealing, None), site.identity.card, 1, CatalogRequest())
    scene.tamper("UPDATE peers SET card = :card WHERE party = :ada", card=eve.card.canonical().decode(), ada=ada.party)
    with site.engine.begin() as connection, pytest.raises(NotAuthenticError):
        open_envelope(site.identity, letter, lambda party: pinned_card(connection, party))


def roster_text(entries: list[Advertisement]) -> str:
    return canonical_bytes([it.model_dump(mode="json") for it in entries]).decode()
