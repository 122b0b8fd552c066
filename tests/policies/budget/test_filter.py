"""The filter keeps what it promises, and its order is the one that serves most."""

import math

import mpmath
import pytest
from dp_accounting.rdp import rdp_privacy_accountant as google
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.budget.filter import allowance_units, filter_order
from policies.budget.renyi import UNITS_PER_NAT
from policies.errors import InvalidInputError, RefusedError


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 100), st.floats(1e-12, 1e-6))
def test_spending_the_whole_allowance_is_within_epsilon_and_one_unit_more_barely_is_not(epsilon, delta):
    order = filter_order(epsilon, delta)
    nats = allowance_units(epsilon, delta, order) / UNITS_PER_NAT
    spent, _ = google.compute_epsilon([order], [nats], delta)
    assert spent <= epsilon + 1e-12
    assert spent == pytest.approx(epsilon, abs=3e-12 + 1e-14 * epsilon)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 100), st.floats(1e-12, 1e-6))
def test_no_neighbouring_order_allows_more_plain_gaussians(epsilon, delta):
    order = filter_order(epsilon, delta)
    here = allowance_units(epsilon, delta, order) / order
    for other in {max(2, order - 1), order + 1, 2 * order}:
        try:
            assert allowance_units(epsilon, delta, other) / other <= here * (1 + 1e-12)
        except RefusedError:
            continue


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 100), st.floats(1e-12, 1e-6))
def test_the_allowance_is_the_formula_rounded_down(epsilon, delta):
    order = filter_order(epsilon, delta)
    with mpmath.workdps(80):
        exact = epsilon - mpmath.log(mpmath.mpf(order - 1) / order)
        exact += (mpmath.log(delta) + mpmath.log(order)) / (order - 1)
        assert allowance_units(epsilon, delta, order) == int(mpmath.floor(exact * UNITS_PER_NAT))


def test_known_orders():
    assert [filter_order(epsilon, 1e-6) for epsilon in (1.0, 3.0, 8.0)] == [22, 9, 4]


@pytest.mark.parametrize(("epsilon", "order"), [(3.0, 4), (1.0, 8)])
def test_an_order_that_leaves_nothing_is_refused(epsilon, order):
    with pytest.raises(RefusedError, match="leaves nothing"):
        allowance_units(epsilon, 1e-6, order)


def test_a_budget_too_small_for_any_order_is_refused():
    with pytest.raises(RefusedError, match="larger"):
        filter_order(1e-4, 1e-9)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 100.5, math.nan, math.inf])
def test_impossible_epsilons_are_refused(epsilon):
    with pytest.raises(InvalidInputError):
        filter_order(epsilon, 1e-6)
    with pytest.raises(InvalidInputError):
        allowance_units(epsilon, 1e-6, 8)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan])
def test_impossible_deltas_are_refused(delta):
    with pytest.raises(InvalidInputError):
        filter_order(1.0, delta)


@pytest.mark.parametrize("order", [1, 0, -8, 10_001])
def test_impossible_orders_are_refused(order):
    with pytest.raises(InvalidInputError):
        allowance_units(1.0, 1e-6, order)
