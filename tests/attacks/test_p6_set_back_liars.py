"""P6 under attack by witnesses who lie, who are silent, who were set back themselves, and by a relay that replays."""

from pathlib import Path

import pytest

from datasites.catalog.registration import register_data_set
from datasites.protocol.log_messages import WitnessReply
from policies.errors import NotAuthenticError, RefusedError
from tests.attacks.set_back_scene import WitnessedScene, witnessed_scene
from tests.declared_units import UNITS
from tests.one_study import OTHER_STUDY
from tests.site_folder import LIFETIME_EPSILON, write_manifest, write_table


@pytest.fixture
def scene(tmp_path: Path) -> WitnessedScene:
    return witnessed_scene(tmp_path)


def set_back(scene: WitnessedScene, tmp_path: Path) -> None:
    """One round is answered, and the disk is put back to before it."""
    request = scene.ready()
    copy = scene.copy_disk(tmp_path / "copy")
    scene.compute(request, 1)
    scene.put_back(copy)


def test_colluding_witnesses_up_to_their_number_cannot_vouch_for_a_disk_that_was_set_back(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    set_back(scene, tmp_path)
    liar, honest = scene.witnesses
    scene.start_up()
    asked = scene.questions()
    scene.hear(
        liar,
        WitnessReply(nonce=asked[liar].nonce, checkpoint=asked[liar].checkpoint, balance=asked[liar].balance),
    )
    with scene.site.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT held_size FROM witnesses ORDER BY held_size").scalars().all()[0] == 0
    assert not scene.is_set_back
    request = scene.terms().digest()
    scene.witnesses[honest].reachable = False
    assert scene.ask(scene.request(request), 1)
    assert scene.charge() is None, "one witness more than may collude must confirm"
    assert scene.count("charges") == 0
    scene.witnesses[honest].reachable = True
    scene.start_up()
    scene.witness()
    assert scene.is_set_back


def test_a_witness_that_forges_the_balance_neither_hides_nor_blocks_a_recovery(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    set_back(scene, tmp_path)
    truth = scene.replies[-1][1].checkpoint
    liar, honest = scene.witnesses
    scene.start_up()
    asked = scene.questions()
    for forged in (asked[liar].balance, "00" * 64, scene.replies[0][1].balance):
        lie = WitnessReply(nonce=asked[liar].nonce, checkpoint=truth, balance=forged)
        with pytest.raises(NotAuthenticError, match="other balances"):
            scene.hear(liar, lie)
    scene.hear(honest, scene.witnesses[honest].answer(asked[honest]))
    assert scene.is_set_back
    spent = scene.balance().training.spent_units
    scene.recover()
    assert scene.balance().training.spent_units > spent


def test_a_witness_that_keeps_to_a_lost_checkpoint_holds_up_its_own_studies_and_no_more(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    set_back(scene, tmp_path)
    liar = next(iter(scene.witnesses))
    scene.start_up()
    scene.witness()
    lost = next(reply for party, reply in reversed(scene.replies) if party == liar)
    scene.recover()
    request = scene.approved(OTHER_STUDY)
    scene.set_up(request)
    scene.witnesses[liar].reachable = False
    assert scene.ask(request, 1)
    nonce = next(message.nonce for party, message in reversed(scene.requests) if party == liar)
    assert not scene.hear(liar, lost.model_copy(update={"nonce": nonce})), "the operator is told"
    assert not scene.is_set_back, "the owner has written that one off"
    assert scene.charge() is None
    with pytest.raises(RefusedError, match="nothing was changed"):
        scene.recover()


def test_a_witness_that_was_away_during_the_recovery_follows_when_it_comes_back(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    set_back(scene, tmp_path)
    away, there = scene.witnesses.values()
    away.reachable = False
    scene.start_up()
    scene.witness()
    for study in (OTHER_STUDY, "3" * 32):
        copy = scene.copy_disk(tmp_path / study)
        if not scene.is_set_back:
            scene.approved(study, privacy={"epsilon": 4.0})
            scene.start_up()
            scene.witness()
            scene.put_back(copy)
            scene.start_up()
            scene.witness()
        assert scene.is_set_back
        scene.recover()
        assert there.kept_size == scene.log_size
    away.reachable = True
    scene.start_up()
    scene.witness()
    assert not scene.is_set_back
    assert away.kept_size == there.kept_size == scene.log_size
    scene.compute(scene.ready("4" * 32, training={"noise_multiplier": 60.0}, evaluation={"models": []}), 1)
    assert len(scene.updates()) == 1


def test_what_was_charged_beside_the_lost_history_is_added_to_it(scene: WitnessedScene, tmp_path: Path) -> None:
    """Two studies, of two cohorts that share no witness, each in a history that knows nothing of the other."""
    order = sorted([scene.site.identity.party, *scene.witnesses])
    after = order[(order.index(scene.site.identity.party) + 1) % 3]
    (other,) = set(scene.witnesses) - {after}
    averaging = {"colluders": 0, "minimum_cohort": 2}
    scene.rule("minimum_cohort = 3", "minimum_cohort = 2")
    scene.rule("minimum_colluders = 1", "minimum_colluders = 0")
    copy = scene.copy_disk(tmp_path / "copy")

    lost = scene.ready(secure_averaging=averaging, privacy={"epsilon": 4.0})
    scene.compute(lost, 1)
    spent_in_lost = scene.balance().training.spent_units
    assert scene.witnesses[other].kept_size == 0

    scene.put_back(copy)
    scene.witnesses[after].reachable = False
    scene.start_up()
    members = [{"site": it, "data_set": "clinic-a", "weight": 1, **UNITS} for it in (scene.site.identity.party, other)]
    study = scene.approved(OTHER_STUDY, secure_averaging=averaging, privacy={"epsilon": 4.0}, cohort=members)
    partners = scene.partners
    scene.partners = tuple(it for it in partners if it.party == other)  # type: ignore[assignment]
    scene.set_up(study)
    scene.compute(study, 1)
    scene.partners = partners
    spent_beside = scene.balance().training.spent_units
    assert min(spent_in_lost, spent_beside) > 0

    scene.witnesses[after].reachable = True
    scene.start_up()
    scene.witness()
    assert scene.is_set_back
    scene.recover()
    assert scene.balance().training.spent_units >= spent_in_lost + spent_beside
    assert scene.audit().broken == []


def test_a_witness_that_was_set_back_itself_is_caught_up_with(scene: WitnessedScene, tmp_path: Path) -> None:
    request = scene.ready()
    witness = next(iter(scene.witnesses.values()))
    witness.copy_disk(tmp_path / "copy")
    scene.compute(request, 1)
    newest = witness.kept_size
    witness.put_back(tmp_path / "copy")
    assert witness.kept_size < newest
    scene.compute(request, 2)
    assert not scene.is_set_back
    assert witness.kept_size > newest


def test_recorded_questions_do_not_move_a_witness_back(scene: WitnessedScene, tmp_path: Path) -> None:
    set_back(scene, tmp_path)
    scene.start_up()
    scene.witness()
    scene.recover()
    sizes = {party: witness.kept_size for party, witness in scene.witnesses.items()}
    for party, message in list(scene.requests):
        if party in scene.witnesses:
            scene.witnesses[party].answer(message)
    assert {party: witness.kept_size for party, witness in scene.witnesses.items()} == sizes


def test_whoever_asks_for_the_same_round_all_the_time_does_not_keep_answers_from_counting(
    scene: WitnessedScene,
) -> None:
    request = scene.ready()
    for witness in scene.witnesses.values():
        witness.reachable = False
    scene.ask(request, 1)
    asked = dict(scene.requests)
    for _ in range(5):
        scene.ask(request, 1)
    assert dict(scene.requests) == asked
    scene.clock.seconds += 60
    scene.ask(request, 1)
    again = dict(scene.requests)
    assert all(again[party] != asked[party] for party in asked), "mail that a relay has lost is written again"
    for party, message in again.items():
        scene.hear(party, scene.witnesses[party].answer(message))
    assert scene.charge() is not None


def test_a_population_of_the_lost_history_is_named_to_the_owner(scene: WitnessedScene, tmp_path: Path) -> None:
    copy = scene.copy_disk(tmp_path / "copy")
    manifest = write_manifest(tmp_path / "new.toml", "clinic-b")
    table = write_table(tmp_path / "new.csv", first=500)
    population = register_data_set(scene.site, manifest, table, LIFETIME_EPSILON).population
    parties = [scene.site.identity.party, *scene.witnesses]
    cohort = [
        {"site": it, "data_set": "clinic-b" if it == parties[0] else "clinic-a", "weight": 1, **UNITS} for it in parties
    ]
    scene.compute(scene.ready(cohort=cohort), 1)
    assert scene.balance_of(population).training.spent_units > 0
    scene.put_back(copy)
    scene.start_up()
    scene.witness()
    assert scene.recover().forgotten == (population,)
    assert scene.audit().broken == []
