"""A stop in the middle of a round: another attempt under a reserved retry and a new charge, or the end of the study."""

import pytest

from datasites.execution.interrupted_rounds import refuse_waiting_rounds, take_up_interrupted_rounds
from datasites.protocol.messages import RoundRefused
from datasites.requests.records import Status
from policies.errors import ConflictError
from tests.one_site import Scene


def restart(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        take_up_interrupted_rounds(connection, scene.now)


def test_a_retry_is_charged_again_and_answers_once(scene: Scene) -> None:
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    lost = scene.charge()
    assert lost is not None
    before = scene.balance()
    restart(scene)
    retried = scene.charge()
    assert retried is not None
    assert (lost.attempt, retried.attempt) == (1, 2)
    assert scene.balance().training.spent_units == 2 * before.training.spent_units
    with pytest.raises(ConflictError):
        scene.answer(lost)
    scene.answer(retried)
    assert len(scene.updates()) == 1
    assert scene.audit().broken == []


def test_retries_are_counted_over_the_whole_study(scene: Scene) -> None:
    request = scene.ready(training={"retries": 1})
    scene.ask(request, 1)
    scene.charge()
    restart(scene)
    retried = scene.charge()
    assert retried is not None
    scene.answer(retried)
    scene.ask(request, 2)
    scene.charge()
    restart(scene)
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.letters(RoundRefused)
    assert scene.charge() is None
    assert scene.audit().broken == []


def test_the_reservation_holds_the_retries_and_returns_those_not_needed(scene: Scene) -> None:
    without = scene.ready("1" * 32)
    held = scene.balance().training.reserved_units
    with_retries = scene.ready("2" * 32, training={"retries": 2})
    assert (without.terms.training.rounds, with_retries.terms.training.rounds) == (3, 3)
    assert scene.balance().training.reserved_units == held + held * 5 // 3
    for number in range(1, with_retries.terms.sums + 1):
        scene.compute(with_retries, number)
    assert scene.request(with_retries.digest).status is Status.DONE
    assert scene.balance().training.reserved_units == held
    assert scene.audit().broken == []


def test_a_round_answered_after_its_study_expired_is_not_released(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.clock.seconds = request.terms.expires_at
    with pytest.raises(ConflictError):
        scene.answer(assignment)
    assert scene.updates() == []
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_rounds_that_will_never_be_computed_are_refused_and_charged_ones_left_alone(scene: Scene) -> None:
    charged = scene.ready("1" * 32, privacy={"epsilon": 4.0})
    waiting = scene.ready("2" * 32, privacy={"epsilon": 4.0})
    scene.ask(charged, 1)
    assert scene.charge() is not None
    scene.ask(waiting, 1)
    with scene.site.engine.begin() as connection:
        refuse_waiting_rounds(connection, "The disk was set back.", scene.now)
    (refusal,) = scene.letters(RoundRefused)
    assert isinstance(refusal, RoundRefused)
    assert (refusal.study, refusal.round, refusal.reason) == ("2" * 32, 1, "The disk was set back.")
    assert scene.charge() is None
    assert scene.count("rounds") == 1
