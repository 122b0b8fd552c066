"""What the owner is shown: one digest for one meaning, and every obstacle before the decision."""

import pytest

from datasites.requests.records import Request
from datasites.requests.review import Review, review
from policies.budget.ledger import close
from tests.one_site import Scene
from tests.one_study import OTHER_STUDY


def shown(scene: Scene, request: Request) -> Review:
    with scene.site.engine.begin() as connection:
        return review(connection, scene.site, scene.request_in(connection, request))


def test_the_digest_does_not_change_with_time_or_balance(scene: Scene) -> None:
    request = scene.submit()
    before = shown(scene, request)
    scene.clock.seconds += 3600
    scene.approved(
        OTHER_STUDY, privacy={"epsilon": 1.0}, training={"noise_multiplier": 12.0}, evaluation={"models": []}
    )
    after = shown(scene, request)
    assert after.approval_digest == before.approval_digest
    assert after.balance != before.balance
    assert before.obstacles == after.obstacles == ()


def test_the_digest_changes_with_the_house_rules(scene: Scene) -> None:
    request = scene.submit()
    before = shown(scene, request)
    scene.rule("maximum_days = 90", "maximum_days = 91")
    assert shown(scene, request).approval_digest != before.approval_digest


def test_every_request_has_its_own_digest(scene: Scene) -> None:
    requests = [scene.submit(), scene.submit(OTHER_STUDY), scene.submit("3" * 32, title="Sepsis, again")]
    assert len({shown(scene, request).approval_digest for request in requests}) == 3


def test_the_cost_is_what_the_rounds_will_charge(scene: Scene) -> None:
    request = scene.ready()
    expected = shown(scene, request).cost
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    left = scene.balance()
    assert left.training.spent_units == expected.training_units
    assert left.evaluation.spent_units == expected.evaluation_units
    assert left.training.reserved_units == left.evaluation.reserved_units == 0


def test_the_promise_is_kept_by_the_numbers(scene: Scene) -> None:
    found = shown(scene, scene.submit())
    assert 0 < found.epsilon <= found.request.terms.privacy.epsilon


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("minimum_cohort = 3", "minimum_cohort = 4", "4"),
        ("minimum_colluders = 1", "minimum_colluders = 2", "colluding"),
        ("maximum_epsilon = 10.0", "maximum_epsilon = 4.0", "ε=5"),
    ],
)
def test_house_rules_stand_against_it(scene: Scene, old: str, new: str, says: str) -> None:
    request = scene.submit()
    scene.rule(old, new)
    (obstacle,) = shown(scene, request).obstacles
    assert says in obstacle


def test_too_long_a_time_stands_against_it(scene: Scene) -> None:
    request = scene.submit(expires_at=scene.now + 91 * 86_400)
    assert "90 days" in shown(scene, request).obstacles[0]


def test_a_round_that_could_hold_the_worker_for_days_stands_against_it(scene: Scene) -> None:
    request = scene.submit(deadlines={"round_seconds": 604_800})
    assert "60 minutes" in shown(scene, request).obstacles[0]


def test_expiry_stands_against_it(scene: Scene) -> None:
    request = scene.submit()
    scene.clock.seconds = request.terms.expires_at
    assert shown(scene, request).obstacles[0] == "The request has expired."


@pytest.mark.both_databases
def test_an_unknown_site_of_the_cohort_stands_against_it(scene: Scene) -> None:
    request = scene.submit()
    scene.tamper("DELETE FROM peers WHERE name = 'bern'")
    (obstacle,) = shown(scene, request).obstacles
    assert scene.partners[0].party[:16] in obstacle


def test_a_researcher_does_not_count_as_a_site_of_the_cohort(scene: Scene) -> None:
    cohort = [member.model_dump() for member in scene.terms().cohort]
    cohort[1]["site"] = scene.other_researcher.party
    (obstacle,) = shown(scene, scene.submit(cohort=cohort)).obstacles
    assert scene.other_researcher.party[:16] in obstacle


def test_what_does_not_fit_the_budget_stands_against_it_until_there_is_room(scene: Scene) -> None:
    large = {
        "training": {"noise_multiplier": 1.05, "sampling_rate": 1.0, "local_steps": 1, "retries": 0},
        "privacy": {"epsilon": 10.0},
    }
    first = scene.approved(**large)
    second = scene.submit(OTHER_STUDY, **large)
    (obstacle,) = shown(scene, second).obstacles
    assert "does not fit the privacy budget" in obstacle
    with scene.site.engine.begin() as connection:
        close(connection, first.digest, scene.now)
    assert shown(scene, second).obstacles == ()
