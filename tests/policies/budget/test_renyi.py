"""Accounting against the exact integral, Google's dp-accounting and Opacus."""

import math
from decimal import getcontext

import numpy as np
import pytest
from dp_accounting.rdp import rdp_privacy_accountant as google
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants.analysis.rdp import compute_rdp

from policies.budget.renyi import ORDERS, UNITS_PER_NAT, GaussianMechanism, cost_units, epsilon, renyi_divergence
from policies.errors import InvalidInputError

CASES = [(0.7, 0.5), (1.0, 0.01), (1.0, 0.1), (2.0, 0.001), (2.0, 0.9), (10.0, 0.25), (0.5, 0.02), (3.0, 1.0)]


def exact_divergence(noise: float, rate: float, order: float) -> float:
    """ln E_{x~N(0,σ²)}[((1−q) + q·exp((2x−1)/2σ²))^α]/(α−1) by the trapezoid rule."""
    x, spacing = np.linspace(-40 * noise, order + 40 * noise, 400_001, retstep=True)
    ratio = (2 * x - 1) / (2 * noise**2)
    log_mixture = np.logaddexp(math.log1p(-rate), math.log(rate) + ratio) if rate < 1 else ratio
    log_density = -(x**2) / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
    logs = log_density + order * log_mixture
    largest = logs.max()
    return (largest + math.log(np.exp(logs - largest).sum() * spacing)) / (order - 1)


@pytest.mark.parametrize(("noise", "rate"), CASES)
@pytest.mark.parametrize("order", [1.3, 1.9, 2.0, 2.5, 3.0, 7.7, 10.9, 16.0, 64.0])
def test_bounds_the_exact_integral(noise, rate, order):
    ours = renyi_divergence(GaussianMechanism(noise, rate, 1), order)
    exact = exact_divergence(noise, rate, order)
    assert ours >= exact - 1e-12
    if order.is_integer():
        assert ours == pytest.approx(exact, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("noise", "rate"), CASES)
def test_agrees_with_google_at_every_order(noise, rate):
    theirs = google._compute_rdp_poisson_subsampled_gaussian(rate, noise, np.array(ORDERS))
    for order, reference in zip(ORDERS, theirs, strict=True):
        ours = renyi_divergence(GaussianMechanism(noise, rate, 1), order)
        assert math.isfinite(ours)
        assert ours <= reference * (1 + 1e-6) + 1e-12
        if order.is_integer():
            assert ours >= reference * (1 - 1e-9) - 1e-14


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.01), (2.0, 0.1), (5.0, 0.3), (1.0, 1.0)])
def test_agrees_with_opacus(noise, rate):
    orders = [2.0, 3.0, 8.0, 16.0, 32.0, 63.0]
    theirs = compute_rdp(q=rate, noise_multiplier=noise, steps=70, orders=orders)
    ours = [renyi_divergence(GaussianMechanism(noise, rate, 70), order) for order in orders]
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-5])
def test_epsilon_of_mixed_mechanisms_is_googles(delta):
    mechanisms = [
        GaussianMechanism(1.1, 0.01, 500),
        GaussianMechanism(3.0, 0.2, 40),
        GaussianMechanism(25.0, 1.0, 6),
    ]
    theirs = sum(
        one.steps * google._compute_rdp_poisson_subsampled_gaussian(one.sampling_rate, one.noise_multiplier, ORDERS)
        for one in mechanisms
    )
    expected, order = google.compute_epsilon(ORDERS, theirs, delta)
    ours, our_order = epsilon(mechanisms, delta)
    assert (ours, our_order) == (pytest.approx(expected, rel=1e-6), order)
    assert ours >= expected * (1 - 1e-9)


def test_large_orders_are_searched():
    assert epsilon([GaussianMechanism(1000.0, 1.0, 4)], 1e-6)[0] < 0.012


def test_epsilon_of_nothing_is_nothing():
    assert epsilon([], 1e-6)[0] == 0


def test_plain_gaussian_cost_is_exact():
    assert cost_units(GaussianMechanism(2.0, 1.0, 3), 16) == 6 * UNITS_PER_NAT + 1


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.1, 1e6),
    st.floats(0, 1, exclude_min=True),
    st.integers(1, 10**8),
    st.integers(2, 300),
)
def test_units_never_round_down_and_never_by_more_than_one(noise, rate, steps, order):
    units = cost_units(GaussianMechanism(noise, rate, steps), order)
    nats = renyi_divergence(GaussianMechanism(noise, rate, steps), order)
    assert units >= 1
    assert units == pytest.approx(nats * UNITS_PER_NAT, rel=1e-12, abs=1.001)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 50), st.floats(1e-4, 0.9), st.integers(2, 64))
def test_more_noise_less_sampling_lower_order_never_cost_more(noise, rate, order):
    here = cost_units(GaussianMechanism(noise, rate, 10), order)
    assert cost_units(GaussianMechanism(noise * 1.01, rate, 10), order) <= here
    assert cost_units(GaussianMechanism(noise, rate * 1.01, 10), order) >= here
    assert cost_units(GaussianMechanism(noise, rate, 10), order + 1) >= here
    assert 10 * cost_units(GaussianMechanism(noise, rate, 1), order) >= here


def test_the_callers_decimal_context_changes_nothing():
    mechanism, before = GaussianMechanism(1.37, 0.031, 77), getcontext().prec
    expected = cost_units(mechanism, 9)
    cost_units.cache_clear()
    try:
        getcontext().prec = 5
        assert cost_units(mechanism, 9) == expected
    finally:
        getcontext().prec = before


@pytest.mark.parametrize(
    ("noise", "rate", "steps"),
    [
        (0.0, 0.1, 1),
        (-1.0, 0.1, 1),
        (math.nan, 0.1, 1),
        (math.inf, 0.1, 1),
        (1.0, 0.0, 1),
        (1.0, 1.1, 1),
        (1.0, math.nan, 1),
        (1.0, -0.1, 1),
        (1.0, 0.1, 0),
        (1.0, 0.1, -5),
        (1.0, 0.1, 10**9),
    ],
)
def test_impossible_mechanisms_are_refused(noise, rate, steps):
    with pytest.raises(InvalidInputError):
        GaussianMechanism(noise, rate, steps)


@pytest.mark.parametrize("order", [1, 0, -3, math.nan, math.inf, 10_001])
def test_impossible_orders_are_refused(order):
    with pytest.raises(InvalidInputError):
        renyi_divergence(GaussianMechanism(1.0, 0.1, 1), order)
    with pytest.raises(InvalidInputError):
        cost_units(GaussianMechanism(1.0, 0.1, 1), order)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, math.nan])
def test_impossible_deltas_are_refused(delta):
    with pytest.raises(InvalidInputError):
        epsilon([GaussianMechanism(1.0, 0.1, 1)], delta)
