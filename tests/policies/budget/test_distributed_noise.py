"""The second figure of ε: accounted for as the cap, with the honest sites' noise, and only where it is proven."""

from math import hypot, sqrt, ulp
from typing import Any

import pytest

from policies.budget.costs import request_cost, request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from policies.budget.renyi import GaussianMechanism, epsilon
from policies.errors import InvalidInputError
from policies.noise_grid import noise_grid
from policies.terms import Terms
from tests.one_study import make_terms

SITES = ["11" * 32, "22" * 32, "33" * 32, "44" * 32]
DELTA = 1e-6
KEPT = 0.99 * DELTA
"""What is left of δ when rounding and cutting have had their share."""


def terms(*, training: dict[str, Any] | None = None, sites: int = 3, **changes: Any) -> Terms:
    """One plain step a round at sites that declare the same; 8 is the noise multiplier of steps and measurements."""
    one_step = {"training": {"local_steps": 1, "rounds": 6, **(training or {})}}
    return make_terms("1" * 32, "aa" * 32, SITES[:sites], 1_000, one_step | {"evaluation": {"models": []}} | changes)


def members(*units: int, weights: tuple[int, ...] = (1, 1, 1, 1)) -> list[dict[str, Any]]:
    return [
        {"site": site, "data_set": "d", "weight": weight, "training_units": number, "holdout_units": 0}
        for site, number, weight in zip(SITES, units, weights, strict=False)
    ]


def of_steps(multiplier: float, steps: int = 6, rate: float = 1.0) -> float:
    return epsilon([GaussianMechanism(multiplier, rate, steps)], KEPT)[0]


def is_the_cap(asked: Terms, site: str = SITES[0]) -> bool:
    return honest_epsilon(asked, site) == request_epsilon(asked)


def test_equal_sites_count_the_noise_of_as_many_as_are_honest() -> None:
    assert honest_epsilon(terms(), SITES[1]) == of_steps(8 * sqrt(2))
    four = terms(sites=4, secure_averaging={"minimum_cohort": 4, "colluders": 1})
    assert honest_epsilon(four, SITES[1]) == of_steps(8 * sqrt(3))
    assert honest_epsilon(terms(), SITES[1]) < request_epsilon(terms())


def test_sampling_is_accounted_for_as_in_the_cap() -> None:
    rare = terms(training={"sampling_rate": 0.1})
    assert honest_epsilon(rare, SITES[0]) == of_steps(8 * sqrt(2), rate=0.1)


def test_a_larger_cohort_than_the_least_counts_no_more_sites() -> None:
    assert honest_epsilon(terms(sites=4), SITES[0]) == of_steps(8 * sqrt(2))


def test_one_honest_other_site_is_the_one_that_hides_least() -> None:
    """Divided by more, a site's noise is less in the sum: beside it a small site's unit stands out."""
    asked = terms(cohort=members(100, 200, 400))
    assert honest_epsilon(asked, SITES[0]) == of_steps(8 * hypot(1, 1 / 4))
    assert honest_epsilon(asked, SITES[1]) == of_steps(8 * hypot(1, 1 / 2))
    assert honest_epsilon(asked, SITES[2]) == of_steps(8 * hypot(1, 2))


def test_a_weight_is_counted_with_its_site() -> None:
    asked = terms(cohort=members(100, 100, 100, weights=(3, 2, 1)))
    assert honest_epsilon(asked, SITES[0]) == of_steps(8 * hypot(1, 1 / 3))
    assert honest_epsilon(asked, SITES[2]) == of_steps(8 * hypot(1, 2))
    sized = terms(cohort=members(100, 200, 300, weights=(1, 2, 3)))
    figures = [honest_epsilon(sized, site) for site in SITES[:3]]
    assert figures == pytest.approx([of_steps(8 * sqrt(2))] * 3, rel=1e-9)


def test_momentum_is_at_rest_in_the_one_step_of_a_round() -> None:
    heavy = terms(training={"optimizer": {"type": "sgd", "momentum": 0.9}})
    assert honest_epsilon(heavy, SITES[0]) == of_steps(8 * sqrt(2))


def test_measurements_are_sums_of_noise_too() -> None:
    measured = terms(evaluation={"models": [0, 6], "noise_multiplier": 4.0})
    assert request_epsilon(measured) == epsilon([GaussianMechanism(4.0, 1.0, 2)], DELTA)[0]
    assert honest_epsilon(measured, SITES[0]) == of_steps(4 * sqrt(2), steps=2)


def test_what_is_charged_knows_nothing_of_it() -> None:
    """Whoever is said to be honest, budgets pay for everybody else colluding."""
    one, other = terms(), terms(secure_averaging={"colluders": 0}, cohort=members(300, 10, 10))
    assert request_cost(one, 16) == request_cost(other, 16)
    assert request_epsilon(one) == request_epsilon(other)


def test_without_privacy_there_is_no_figure_and_a_stranger_has_none() -> None:
    none = {"noise_multiplier": 0.0}
    assert honest_epsilon(terms(privacy=None, training=none, evaluation=none), SITES[0]) is None
    with pytest.raises(InvalidInputError, match="do not name this site"):
        honest_epsilon(terms(), SITES[3])


ADAM = {"type": "adam", "decays": [0.9, 0.999], "epsilon": 1e-8}


@pytest.mark.parametrize(
    "asked",
    [
        terms(training={"local_steps": 2}),
        terms(training={"optimizer": ADAM}),
        terms(training={"optimizer": {**ADAM, "type": "adamw", "weight_decay": 0.1}}),
        terms(secure_averaging={"update_range": 0.15}),
        terms(secure_averaging={"bits": 8}),
        terms(secure_averaging={"update_range": 1e4, "bits": 18}),
        terms(training={"learning_rate": 4.0}),
        terms(training={"schedule": {"type": "cosine", "warm_up_steps": 0}, "rounds": 1_000}),
        terms(programs={"parameter_count": 50_000_000}, training={"rounds": 300, "noise_multiplier": 60.0}),
        terms(cohort=members(75, 75, 100_000_000)),
    ],
    ids=[
        "two steps",
        "Adam",
        "AdamW",
        "a range that cuts",
        "coarse bits",
        "a coarse grid",
        "steps beyond the range",
        "last steps finer than the grid",
        "too many coordinates",
        "one site's noise finer than the grid",
    ],
)
def test_where_it_is_not_proven_the_figure_is_the_cap(asked: Terms) -> None:
    assert is_the_cap(asked)


@pytest.mark.parametrize("changes", [{"bits": 20}, {"bits": 12}, {"update_range": 0.5}, {"update_range": 100.0}])
def test_range_and_bits_with_room_for_the_noise_suffice(changes: dict[str, Any]) -> None:
    assert honest_epsilon(terms(secure_averaging=changes), SITES[0]) == of_steps(8 * sqrt(2))


def test_steps_that_are_not_linear_leave_the_measurements_theirs() -> None:
    """A unit is either trained on or measured on: the figure is that of the worse off."""
    measured = terms(training={"local_steps": 2}, evaluation={"models": [0, 6], "noise_multiplier": 1.0})
    assert honest_epsilon(measured, SITES[0]) == of_steps(sqrt(2), steps=2) < request_epsilon(measured)


def test_a_site_that_only_looks_knows_its_own_noise() -> None:
    two = terms(sites=2, secure_averaging={"minimum_cohort": 2, "colluders": 0})
    assert is_the_cap(two)
    three = terms(secure_averaging={"minimum_cohort": 3, "colluders": 0})
    assert honest_epsilon(three, SITES[0]) == honest_epsilon(terms(), SITES[0])


@pytest.mark.parametrize("clipping_norm", [1e-6, 0.3, 1e6])
@pytest.mark.parametrize("multiplier", [0.1, 1.0, 1e6])
def test_the_grid_is_no_finer_than_any_sum_and_far_finer_than_the_noise(
    multiplier: float, clipping_norm: float
) -> None:
    grid, most = noise_grid(multiplier, clipping_norm, 500), clipping_norm * (1064 + 10 * multiplier)
    assert ulp(most) <= grid <= 2 * ulp(most)
    assert grid < multiplier * clipping_norm * 2.0**-26
