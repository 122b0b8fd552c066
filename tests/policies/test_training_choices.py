"""What terms may say of optimiser and schedule, and that each of it is told to the owner."""

import json

import pytest
from pydantic import ValidationError

from policies.budget.costs import Cost
from policies.review.differences import Snapshot, difference
from policies.review.words import steps_in_words
from policies.rules.auto_approval import looser
from policies.terms import Terms
from policies.training_choices import Adam, AdamW, Schedule, Sgd
from tests.one_study import make_terms

LINEAR = Schedule(type="linear", warm_up_steps=2)
ADAMW = AdamW(decays=(0.9, 0.99), epsilon=1e-6, weight_decay=0.1)


def terms(**training: object) -> Terms:
    """Three rounds of two steps."""
    plain = make_terms("1" * 32, "aa" * 32, [f"{it:064x}" for it in range(3)], 1_000, {})
    return Terms.model_validate_json(
        json.dumps(
            {**plain.model_dump(mode="json"), "training": {**plain.training.model_dump(mode="json"), **training}}
        )
    )


def test_every_step_of_every_round_has_its_place_in_the_schedule() -> None:
    training = terms(schedule=LINEAR.model_dump(), learning_rate=0.5).training
    rates = [rate for number in (1, 2, 3) for rate in training.learning_rates(number)]
    assert rates == pytest.approx([0.5 / 3, 1.0 / 3, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
def test_no_step_is_wasted_on_a_learning_rate_of_nought(kind: str) -> None:
    for warm_up in range(40):
        schedule = Schedule.model_validate({"type": kind, "warm_up_steps": warm_up})
        factors = [schedule.factor(step, 40) for step in range(40)]
        assert min(factors) > 0
        assert max(factors) == factors[warm_up] == 1


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": {"type": "linear", "warm_up_steps": 6}},
        {"schedule": {"type": "linear", "warm_up_steps": -1}},
        {"schedule": {"type": "steps", "warm_up_steps": 0}},
        {"optimizer": {"type": "sgd"}},
        {"optimizer": {"momentum": 0.0}},
        {"optimizer": {"type": "sgd", "momentum": 1.0}},
        {"optimizer": {"type": "sgd", "momentum": 0.0, "nesterov": True}},
        {"optimizer": {"type": "adam", "decays": [0.9, 1.0], "epsilon": 1e-8}},
        {"optimizer": {"type": "adam", "decays": [0.9, 0.99, 0.9], "epsilon": 1e-8}},
        {"optimizer": {"type": "adam", "decays": [0.9, 0.99], "epsilon": 0.0}},
        {"optimizer": {"type": "adamw", "decays": [0.9, 0.99], "epsilon": 1e-8, "weight_decay": 1.5}},
        {"optimizer": {"type": "lbfgs"}},
    ],
)
def test_other_choices_make_no_terms(training: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        terms(**training)


@pytest.mark.parametrize("optimizer", [Sgd(momentum=0.9), Adam(decays=(0.9, 0.99), epsilon=1e-8), ADAMW])
def test_terms_keep_the_choice_through_their_bytes(optimizer: Sgd | Adam | AdamW) -> None:
    chosen = terms(optimizer=optimizer.model_dump(mode="json"))
    assert Terms.model_validate_json(chosen.canonical()).training.optimizer == optimizer
    assert chosen.digest() != terms().digest()


def test_the_owner_reads_what_was_chosen() -> None:
    assert steps_in_words(terms().training) == "SGD without momentum, learning rate 0.1"
    other = terms(optimizer=ADAMW.model_dump(mode="json"), schedule=LINEAR.model_dump()).training
    assert steps_in_words(other) == (
        "AdamW (β₁=0.9, β₂=0.99, 1e-06 added to its root, weight decay 0.1), learning rate 0.1 after 2 steps of "
        "warm-up, falling to 0 over all steps in a line"
    )


def test_the_owner_reads_what_another_request_changes() -> None:
    before, after = terms(), terms(optimizer=ADAMW.model_dump(mode="json"), schedule=LINEAR.model_dump())
    found = difference(1, Snapshot(before, {}, None), Snapshot(after, {}, None))
    sentences = {change.place: change.sentence for change in found.changes}
    assert sentences["training.optimizer.type"] == "training.optimizer.type was «sgd» and is «adamw»."
    assert sentences["training.optimizer.decays"] == "training.optimizer.decays was «nothing» and is «[0.9,0.99]»."
    assert sentences["training.schedule.warm_up_steps"] == "training.schedule.warm_up_steps was «0» and is «2»."


def test_the_rules_let_numbers_of_the_steps_change_and_not_the_optimizer() -> None:
    known, cost = terms(), Cost(1, 1)
    faster = terms(optimizer=Sgd(momentum=0.5).model_dump(), schedule=LINEAR.model_dump())
    assert looser(faster, known, cost, cost) == []
    assert looser(terms(optimizer=ADAMW.model_dump(mode="json")), known, cost, cost)
