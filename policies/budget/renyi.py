"""Rényi differential privacy of the Poisson-subsampled Gaussian mechanism, rounded up.

Source: Mironov, Talwar & Zhang, "Rényi Differential Privacy of the Sampled Gaussian Mechanism", arXiv 1908.10530, §3.3.
Adjacency is add-or-remove one unit. Whole orders are computed in decimal arithmetic, which gives the same on every
machine: an auditor recomputes each charge to the last unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal, localcontext
from functools import lru_cache

from policies.errors import InvalidInputError

UNITS_PER_NAT = 10**12
"""The ledger counts Rényi divergence in whole units, so that sums are exact."""

ORDERS: tuple[float, ...] = (
    *(tenths / 10 for tenths in range(11, 110) if tenths % 10),
    *(float(order) for order in range(2, 65)),
    *(float(order) for order in (72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)),
)
"""Where `epsilon` looks for the best order."""

MAXIMUM_ORDER = 10_000

_CONTEXT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)
# 60 digits, and sums of at most MAXIMUM_ORDER positive terms: the relative error stays below 1e-33.
_DECIMAL_MARGIN = Decimal("1e-30")
_NEGLIGIBLE = Decimal("1e-25")
_FLOAT_MARGIN_RELATIVE = 1e-9
_FLOAT_MARGIN_ABSOLUTE = 1e-13
_MAXIMUM_SERIES_TERMS = 1000


@dataclass(frozen=True)
class GaussianMechanism:
    """`steps` releases of a sum over Poisson-sampled units with Gaussian noise; `sampling_rate` 1 samples everybody.

    The noise has standard deviation `noise_multiplier` × (the most that one unit moves the sum, in L2 norm).

    Raises:
        InvalidInputError: a parameter is outside 0.1 … 1e6, (0, 1] or 1 … 10⁸ respectively.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int

    def __post_init__(self) -> None:
        if not 0.1 <= self.noise_multiplier <= 1e6:
            raise InvalidInputError(
                f"The noise multiplier is {self.noise_multiplier}; the ledger accounts for 0.1 up to 1e6."
            )
        if not 0 < self.sampling_rate <= 1:
            raise InvalidInputError(f"The sampling rate is {self.sampling_rate}; it must be above 0 and at most 1.")
        if not 1 <= self.steps <= 10**8:
            raise InvalidInputError(f"The mechanism has {self.steps} steps; the ledger accounts for 1 up to 10⁸.")


def renyi_divergence(mechanism: GaussianMechanism, order: float) -> float:
    """An upper bound on the divergence of `mechanism`, all steps, at `order` in (1, 10 000], in nats.

    At whole orders it is exact to the last digit of a float. At fractional ones it is the better of the paper's series
    and of the log-moment interpolated between whole orders, a bound because log-moments are convex in the order.
    """
    _check_order(order)
    if float(order).is_integer():
        return math.nextafter(float(_divergence_at_whole_order(mechanism, int(order))), math.inf)
    if mechanism.sampling_rate == 1:
        one_step = order / (2 * mechanism.noise_multiplier**2)
    else:
        one_step = min(_log_moment_by_series(mechanism, order), _interpolated_log_moment(mechanism, order)) / (
            order - 1
        )
    return mechanism.steps * (one_step * (1 + _FLOAT_MARGIN_RELATIVE) + _FLOAT_MARGIN_ABSOLUTE)


@lru_cache(maxsize=4096)
def cost_units(mechanism: GaussianMechanism, order: int) -> int:
    """What `mechanism` costs a population whose filter has `order`, rounded up; the same on every machine."""
    _check_order(order)
    with localcontext(_CONTEXT):
        units = _divergence_at_whole_order(mechanism, order) * UNITS_PER_NAT
        return int(units.to_integral_value(rounding=ROUND_CEILING))


def epsilon(mechanisms: Sequence[GaussianMechanism], delta: float) -> tuple[float, float]:
    """The ε of all `mechanisms` together at `delta`, and the order of `ORDERS` that gives it.

    Conversion: Canonne, Kamath & Steinke, "The Discrete Gaussian for Differential Privacy", arXiv 2004.00010, Prop. 12.
    For mechanisms fixed beforehand; adaptively chosen ones go through a filter.

    Raises:
        InvalidInputError: `delta` is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise InvalidInputError(f"δ is {delta}; it must lie between 0 and 1.")
    divergences = ((sum(renyi_divergence(it, order) for it in mechanisms), order) for order in ORDERS)
    best, order = min((converted(divergence, delta, order), order) for divergence, order in divergences)
    return max(best, 0.0), order


def converted(divergence: float, delta: float, order: float) -> float:
    """The ε at `delta` that a divergence (in nats) at `order` bounds; it may be below 0."""
    if -math.expm1(-divergence) < delta**2:
        return 0.0  # by Bretagnolle & Huber, δ ≤ √(1 − exp(−KL)), and KL is at most any Rényi divergence
    return divergence + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def _check_order(order: float) -> None:
    if not 1 < order <= MAXIMUM_ORDER:
        raise InvalidInputError(f"The Rényi order is {order}; it must be above 1 and at most {MAXIMUM_ORDER}.")


def _divergence_at_whole_order(mechanism: GaussianMechanism, order: int) -> Decimal:
    """E_{k~Bin(α,q)}[exp((k²−k)/2σ²)], its two terms without noise taken out, as ln(1+x)/(α−1)."""
    with localcontext(_CONTEXT):
        rate = Decimal(mechanism.sampling_rate)
        inverse_variance = 1 / (Decimal(mechanism.noise_multiplier) * Decimal(mechanism.noise_multiplier))
        if mechanism.sampling_rate == 1:
            one_step = order * inverse_variance / 2
        else:
            excess = _moment_minus_one(rate, inverse_variance, order)
            log_moment = excess if excess < _NEGLIGIBLE else (1 + excess).ln()
            one_step = log_moment / (order - 1)
        return mechanism.steps * one_step * (1 + _DECIMAL_MARGIN)


def _moment_minus_one(rate: Decimal, inverse_variance: Decimal, order: int) -> Decimal:
    """Σ_{k≥2} C(α,k) q^k (1−q)^{α−k} (exp((k²−k)/2σ²) − 1): positive terms only, so that nothing cancels."""
    odds = rate / (1 - rate)
    growth_of_growth = inverse_variance.exp()
    weight = (order * (1 - rate).ln()).exp() * order * odds
    growth = exponential = Decimal(1)
    total = Decimal(0)
    for k in range(2, order + 1):
        weight = weight * odds * (order - k + 1) / k
        growth *= growth_of_growth
        exponential *= growth
        total += weight * (exponential - 1)
    return total


def _interpolated_log_moment(mechanism: GaussianMechanism, order: float) -> float:
    """Between the whole orders around `order`; ln A_1 is 0."""
    below = math.floor(order)
    one_step = GaussianMechanism(mechanism.noise_multiplier, mechanism.sampling_rate, 1)
    low, high = (
        (whole - 1) * float(_divergence_at_whole_order(one_step, whole)) if whole > 1 else 0.0
        for whole in (below, below + 1)
    )
    return low + (order - below) * (high - low)


def _log_moment_by_series(mechanism: GaussianMechanism, order: float) -> float:
    """ln A_α by the two series of §3.3, every term by its absolute value, so that the sum can only be too large.

    Infinite where they do not settle: at small orders their terms shrink slowly.
    """
    rate, noise = mechanism.sampling_rate, mechanism.noise_multiplier
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    split = noise**2 * (log_rest - log_rate) + 0.5
    log_order_factorial = math.lgamma(order + 1)
    total = last_lower = last_upper = -math.inf
    for i in range(_MAXIMUM_SERIES_TERMS):
        j = order - i
        log_binomial = log_order_factorial - math.lgamma(i + 1) - math.lgamma(j + 1)
        lower = log_binomial + i * log_rate + j * log_rest + (i * i - i) / (2 * noise**2)
        lower += _log_normal_tail((i - split) / noise)
        upper = log_binomial + j * log_rate + i * log_rest + (j * j - j) / (2 * noise**2)
        upper += _log_normal_tail((split - j) / noise)
        total = _log_add(total, _log_add(lower, upper))
        if lower < last_lower and upper < last_upper and max(lower, upper) < total - 30:
            return max(total, 0.0)
        last_lower, last_upper = lower, upper
    return math.inf


def _log_normal_tail(x: float) -> float:
    """ln P[N(0, 1) > x], by the asymptotic series (Abramowitz & Stegun 26.2.12) where erfc underflows."""
    if x < 30:
        return math.log(0.5 * math.erfc(x / math.sqrt(2)))
    series, term = 1.0, 1.0
    for n in range(1, 6):
        term *= -(2 * n - 1) / (x * x)
        series += term
    return -x * x / 2 - math.log(x * math.sqrt(2 * math.pi)) + math.log(series)


def _log_add(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
