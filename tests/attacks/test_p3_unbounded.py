"""P3 outside the budget: a study without noise takes the owner's rule and a person's word, and is never hidden."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datasites.requests.excluded import Excluded, excluded_by_population
from datasites.requests.records import Request, Status
from policies.errors import RefusedError
from policies.rules.adoption import Adoption
from tests.attacks import honest_log
from tests.attacks.honest_log import ADOPTED, HONEST, RULES, TERMS, Entries, changed, under
from tests.attacks.honest_rules_log import adopted, adoption, rules, second
from tests.attacks.honest_rules_log import by_rules as approved_by_rules
from tests.attacks.ruled_site import by_rules, new_ruled_scene
from tests.databases import SQLITE
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY

UNBOUNDED: dict[str, Any] = {
    "privacy": None,
    "training": {"noise_multiplier": 0.0},
    "evaluation": {"noise_multiplier": 0.0},
}
WITHOUT_NOISE = TERMS.model_copy(
    update={
        "privacy": None,
        "training": TERMS.training.model_copy(update={"noise_multiplier": 0.0}),
        "evaluation": TERMS.evaluation.model_copy(update={"noise_multiplier": 0.0}),
    }
)
UNCHARGED = [entry for entry in HONEST if entry.kind != "charge-made"]
NO_COST = {"training_units": 0, "evaluation_units": 0}
ALLOWED = adoption(RULES.rules.model_copy(update={"unbounded_studies": True}))
AUTOMATIC = adoption(rules(unbounded_studies=True))


def without_noise(allowed: Adoption = ALLOWED) -> Entries:
    """The honest log of a study without noise, under rules that let people approve one."""
    entries = under(WITHOUT_NOISE, UNCHARGED, house_rules=allowed.digest(), **NO_COST)
    free = [changed(it, **NO_COST) if it.kind.startswith("reservation-") else it for it in entries]
    return [adopted(allowed) if it == ADOPTED else it for it in free]


HONEST_WITHOUT_NOISE = without_noise()


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)


def allow(scene: Scene) -> None:
    scene.rule("unbounded_studies = false", "unbounded_studies = true")


def excluded(scene: Scene) -> list[Excluded]:
    with scene.site.engine.begin() as connection:
        return list(excluded_by_population(connection).values())


def finished(scene: Scene) -> Request:
    request = scene.ready(**UNBOUNDED)
    for number in range(1, request.terms.sums + 1):
        scene.compute(request, number)
    return scene.request(request.digest)


def test_without_the_owners_rule_nobody_can_approve_it(scene: Scene) -> None:
    request = scene.submit(**UNBOUNDED)
    with pytest.raises(RefusedError, match="gives no privacy guarantee"):
        scene.approve(request)
    assert scene.request(request.digest).status is Status.PENDING


def test_it_costs_nothing_of_the_budget_and_the_data_set_says_that_it_excludes_it(scene: Scene) -> None:
    allow(scene)
    before = scene.balance()
    assert excluded(scene) == []
    assert finished(scene).status is Status.DONE
    assert (scene.balance(), scene.count("charges")) == (before, 0)
    assert excluded(scene) == [Excluded(studies=1)]
    report = scene.audit()
    assert report.broken == []
    assert any("excludes 1 studies without noise" in it for it in report.proved)
    assert any("studies without noise tell about people" in it for it in report.not_proved)


def test_an_approval_that_let_nothing_out_excludes_nothing(scene: Scene) -> None:
    allow(scene)
    scene.ready(**UNBOUNDED)
    assert excluded(scene) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy": None},
        {**UNBOUNDED, "evaluation": {"noise_multiplier": 8.0}},
        {**UNBOUNDED, "training": {"noise_multiplier": 8.0}},
        {"training": {"noise_multiplier": 0.0}},
        {"evaluation": {"noise_multiplier": 0.0}},
        {"evaluation": {"noise_multiplier": 0.0, "histograms": [{"name": "sepsis", "bins": 10}]}},
        {"training": {"noise_multiplier": 0.05}},
    ],
)
def test_no_terms_promise_privacy_without_noise_or_add_noise_and_promise_nothing(
    scene: Scene, changes: dict[str, Any]
) -> None:
    """The summary says one or the other, so there is nothing between."""
    with pytest.raises(ValidationError, match="noise multipliers"):
        scene.terms(**changes)


def test_the_log_of_an_unbounded_study_needs_no_charge() -> None:
    report = honest_log.verify(HONEST_WITHOUT_NOISE)
    assert report.broken == []
    assert any("«patients» excludes 1 studies without noise" in it for it in report.proved)


def test_a_private_study_is_not_passed_off_as_an_unbounded_one() -> None:
    """Its charges are missing from the log, and its terms promise privacy."""
    report = honest_log.verify(UNCHARGED)
    assert {it.reason for it in report.broken} >= {"the round is computed without a charge for evaluation and training"}


def test_an_unbounded_round_without_a_persons_approval_is_a_break() -> None:
    undecided = [it for it in HONEST_WITHOUT_NOISE if it.kind != "decision-taken"]
    reasons = [it.reason for it in honest_log.verify(undecided).broken]
    assert reasons.count("no approval stands for this request") == 3  # the reservation and two rounds


def test_an_unbounded_study_under_rules_that_forbid_it_is_a_break() -> None:
    broken = honest_log.verify(without_noise(RULES)).broken
    assert "the study gives no privacy guarantee" in broken[0].reason


def test_the_rules_never_approve_an_unbounded_study(tmp_path: Path) -> None:
    """Not even one like another that a person approved: each takes a person's word of its own."""
    scene = new_ruled_scene(tmp_path, SQLITE)
    allow(scene)
    scene.approved(**UNBOUNDED)
    request = scene.submit(OTHER_STUDY, **UNBOUNDED)
    assert (request.status, request.ground, by_rules(scene)) == (Status.PENDING, None, [])
    assert scene.approve(request).status is Status.APPROVED


def test_an_unbounded_study_that_the_rules_approved_is_a_break() -> None:
    again = second(privacy=None, evaluation=WITHOUT_NOISE.evaluation, training=WITHOUT_NOISE.training)
    *approval, reserved = approved_by_rules(again, AUTOMATIC, precedent=WITHOUT_NOISE.digest(), **NO_COST)
    broken = honest_log.verify([*without_noise(AUTOMATIC)[:8], *approval, changed(reserved, **NO_COST)]).broken
    assert ["takes a person" in it.reason for it in broken] == [True], broken


def test_an_unbounded_round_beyond_the_terms_is_a_break() -> None:
    beyond = changed(honest_log.computed(WITHOUT_NOISE.sums + 1), request=WITHOUT_NOISE.digest())
    broken = honest_log.verify([*HONEST_WITHOUT_NOISE[:-2], beyond]).broken
    assert [it.reason for it in broken] == ["the terms have no such round"]
