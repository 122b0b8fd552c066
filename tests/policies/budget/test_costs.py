"""What terms cost: the reservation is what the rounds will charge, no less."""

import pytest

from policies.budget.costs import PARTITIONS, Cost, request_cost, request_epsilon, round_mechanisms
from policies.budget.renyi import GaussianMechanism, cost_units, epsilon
from policies.errors import InvalidInputError, RefusedError


def changed(terms, part, **values):
    return terms.model_copy(update={part: getattr(terms, part).model_copy(update=values)})


def test_rounds_run_what_the_terms_say(terms):
    training, evaluation = GaussianMechanism(2.0, 0.1, 5), GaussianMechanism(20.0, 1.0, 1)
    assert terms.sums == 5
    assert round_mechanisms(terms, 1) == {"training": training, "evaluation": evaluation}
    assert [round_mechanisms(terms, number) for number in (2, 3, 4)] == [{"training": training}] * 3
    assert round_mechanisms(terms, 5) == {"evaluation": evaluation}
    assert round_mechanisms(terms, 6) == {}


@pytest.mark.parametrize("order", [2, 9, 64])
def test_the_reservation_is_exactly_the_sum_of_the_rounds(terms, order):
    totals = dict.fromkeys(PARTITIONS, 0)
    for number in range(1, terms.sums + 1):
        for partition, mechanism in round_mechanisms(terms, number).items():
            totals[partition] += cost_units(mechanism, order)
    assert request_cost(terms, order) == Cost(totals["training"], totals["evaluation"])


def test_a_study_without_evaluation_costs_its_holdout_nothing(terms):
    silent = changed(terms, "evaluation", models=())
    assert request_cost(silent, 9).evaluation_units == 0
    assert request_epsilon(silent) == epsilon([GaussianMechanism(2.0, 0.1, 20)], 1e-6)[0]


def test_epsilon_is_that_of_the_costlier_partition(terms):
    loud = changed(terms, "evaluation", noise_multiplier=1.0)
    assert request_epsilon(terms) == epsilon([GaussianMechanism(2.0, 0.1, 20)], 1e-6)[0]
    assert request_epsilon(loud) == epsilon([GaussianMechanism(1.0, 1.0, 2)], 1e-6)[0]


def test_a_study_beyond_any_budget_is_refused(terms):
    absurd = changed(terms, "training", rounds=10_000, local_steps=10_000, noise_multiplier=0.1, sampling_rate=1.0)
    with pytest.raises(RefusedError, match="raise the noise multiplier"):
        request_cost(absurd, 64)
    assert request_epsilon(absurd) > 1e6


@pytest.mark.parametrize("units", [-1, 2**53])
def test_impossible_costs_are_refused(units):
    with pytest.raises(InvalidInputError):
        Cost(units, 0)
    with pytest.raises(InvalidInputError):
        Cost(0, units)
