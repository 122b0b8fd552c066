"""P6 under attack: a disk or machine set back to an earlier state is noticed before anything is charged or answered."""

from pathlib import Path

import numpy as np
import pytest

from datasites.execution.answer_round import answer_round
from datasites.execution.trainer_result import RoundResult
from datasites.requests.records import Status
from policies.errors import ConflictError, RefusedError
from policies.log.entries import MessageGap
from policies.log.journal import append
from tests.attacks.set_back_scene import WitnessedScene, witnessed_scene
from tests.one_study import OTHER_STUDY, PARAMETERS, model


@pytest.fixture
def scene(tmp_path: Path) -> WitnessedScene:
    return witnessed_scene(tmp_path)


def assert_runs_a_study(scene: WitnessedScene, study: str) -> None:
    """A fresh study gets its three rounds, the evaluation after them, and its end."""
    request = scene.ready(study, training={"noise_multiplier": 60.0}, evaluation={"models": []})
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    assert scene.request(request.digest).status is Status.DONE


@pytest.mark.parametrize("moment", ["approved", "asked", "charged", "computed", "answered"])
def test_a_disk_put_back_to_any_moment_of_a_round_is_noticed(
    scene: WitnessedScene, tmp_path: Path, moment: str
) -> None:
    request, other = scene.ready(training={"retries": 1}), scene.approved(OTHER_STUDY, privacy={"epsilon": 4.0})
    copies = {"approved": scene.copy_disk(tmp_path / "approved")}
    scene.ask(request, 1)
    copies["asked"] = scene.copy_disk(tmp_path / "asked")
    assignment = scene.charge()
    assert assignment is not None
    copies["charged"] = scene.copy_disk(tmp_path / "charged")
    for witness in scene.witnesses.values():
        witness.reachable = False
    scene.answer(assignment)
    assert scene.updates() == [], "nothing is sent that no witness knows of"
    copies["computed"] = scene.copy_disk(tmp_path / "computed")
    for witness in scene.witnesses.values():
        witness.reachable = True
    scene.start_up()
    scene.witness()
    assert len(scene.updates()) == 1
    copies["answered"] = scene.copy_disk(tmp_path / "answered")
    scene.compute(request, 2)
    truly_spent = scene.balance()

    scene.put_back(copies[moment])
    known = len(scene.updates())
    scene.start_up()
    for party, reply in list(scene.replies):
        scene.hear(party, reply)
    assert not scene.is_set_back, "recorded mail says nothing of now"
    assert scene.count("charges") <= 2
    scene.witness()
    assert scene.is_set_back
    assert b"set-back-noticed" in b"".join(_log(scene))
    for study in (request, other):
        with pytest.raises(RefusedError, match="datasite recover"):
            scene.ask(study, 1)
    assert scene.charge() is None
    assert len(scene.updates()) == known
    with pytest.raises(RefusedError, match="datasite recover"):
        scene.approve(scene.submit("3" * 32))

    done = scene.recover()
    assert done.ended == (1, 2)
    assert not scene.is_set_back
    after = scene.balance()
    assert after.training.spent_units >= truly_spent.training.spent_units
    assert after.evaluation.spent_units >= truly_spent.evaluation.spent_units
    assert (after.training.reserved_units, after.evaluation.reserved_units) == (0, 0)
    assert scene.count("mask_keys") == 0
    assert {it.kept_size for it in scene.witnesses.values()} == {scene.log_size}
    assert_runs_a_study(scene, "4" * 32)
    assert scene.audit().broken == []


def _log(scene: WitnessedScene) -> list[bytes]:
    with scene.site.engine.begin() as connection:
        return list(connection.exec_driver_sql("SELECT entry FROM log_entries ORDER BY position").scalars())


def test_a_machine_put_back_with_its_memory_is_noticed_before_its_next_charge(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    """No process starts again: what witnesses confirmed to it before stands in the restored memory."""
    request = scene.ready()
    copy = scene.copy_disk(tmp_path / "copy")
    scene.compute(request, 1)
    scene.put_back(copy)
    with scene.site.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT min(held_size) FROM witnesses").scalar_one() > 0
    for party, reply in list(scene.replies):
        scene.hear(party, reply)
    assert scene.ask(request, 1, model(0.5))
    assert scene.charge() is None
    assert scene.is_set_back
    assert (scene.count("charges"), scene.updates()) == (0, [])


def test_of_two_copies_that_run_at_once_one_answers(scene: WitnessedScene, tmp_path: Path) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    second = scene.copy_disk(tmp_path / "second")
    first_copy = tmp_path / "first"
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    assert len(scene.updates()) == 1
    scene.copy_disk(first_copy)

    # The twin was confirmed in the same instant, so it charges; but it does not answer.
    scene.put_back(second)
    twin = scene.charge()
    assert twin is not None
    scene.answer(twin, 0.75)
    assert scene.updates() == []
    assert scene.is_set_back

    scene.put_back(first_copy)
    scene.compute(request, 2)
    assert [it.round for it in scene.updates()] == [1, 2]


def test_a_log_that_has_outgrown_what_the_witnesses_hold_is_no_continuation(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    request = scene.ready()
    copy = scene.copy_disk(tmp_path / "copy")
    scene.compute(request, 1)
    held = max(it.kept_size for it in scene.witnesses.values())
    scene.put_back(copy)
    with scene.site.engine.begin() as connection:
        while append(connection, MessageGap(at=scene.now, sender="ab" * 32, expected=1, got=3)) < held + 5:
            pass
    scene.start_up()
    scene.witness()
    assert scene.is_set_back
    with pytest.raises(RefusedError, match="datasite recover"):
        scene.ask(request, 1)
    assert scene.charge() is None


def test_a_round_that_is_computed_while_the_owner_recovers_is_not_answered(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    twin = scene.copy_disk(tmp_path / "twin")
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    scene.put_back(twin)
    assignment = scene.charge()
    assert assignment is not None
    scene.start_up()
    scene.witness()
    scene.recover()
    update, metrics = np.zeros(PARAMETERS, np.float32), np.array([20.0, 5.0])
    with pytest.raises(ConflictError, match=r"ended or expired|mask key is spent"):
        answer_round(scene.site, assignment, RoundResult(metrics, iter((update,)), ("seccomp",)))
    assert scene.updates() == []
    assert scene.audit().broken == []


def test_a_second_set_back_after_a_recovery_is_noticed_and_recovered(scene: WitnessedScene, tmp_path: Path) -> None:
    request = scene.ready()
    copy = scene.copy_disk(tmp_path / "copy")
    scene.compute(request, 1)
    scene.put_back(copy)
    scene.start_up()
    scene.witness()
    noticed = scene.copy_disk(tmp_path / "noticed")
    scene.recover()
    assert_runs_a_study(scene, OTHER_STUDY)
    truly_spent = scene.balance().training.spent_units

    for earlier in (noticed, copy):
        scene.put_back(earlier)
        scene.start_up()
        scene.witness()
        assert scene.is_set_back
        assert scene.charge() is None
        scene.recover()
        assert not scene.is_set_back
        assert scene.balance().training.spent_units >= truly_spent
        assert scene.audit().broken == []
        assert {it.kept_size for it in scene.witnesses.values()} == {scene.log_size}


def test_nothing_is_recovered_where_nothing_was_lost_or_without_the_owner(
    scene: WitnessedScene, tmp_path: Path
) -> None:
    request = scene.ready()
    with pytest.raises(RefusedError, match="nothing was changed"):
        scene.recover()
    scene.compute(request, 1)
    scene.start_up()
    scene.witness()
    assert not scene.is_set_back, "a restart alone is no set-back"
    scene.compute(request, 2)
    assert [it.round for it in scene.updates()] == [1, 2]
