"""The Rényi filter: one order for a population's lifetime, and how much divergence at it keeps (ε, δ).

Sources: Feldman & Zrnic, "Individual Privacy Accounting via a Rényi Filter", arXiv 2008.11193; for concurrent requests
Haney et al., arXiv 2309.05901; conversion: Canonne, Kamath & Steinke, arXiv 2004.00010, Prop. 12.
"""

import math
from decimal import ROUND_FLOOR, Context, Decimal, localcontext

from policies.budget.renyi import MAXIMUM_ORDER, UNITS_PER_NAT
from policies.errors import InvalidInputError, RefusedError

_CONTEXT = Context(prec=60)
_MARGIN = Decimal("1e-30")


def filter_order(epsilon: float, delta: float) -> int:
    """The whole order, from 2, at which the allowance for (ε, δ) is worth the most plain Gaussian releases.

    Raises:
        InvalidInputError: ε is not in (0, 100] or δ not in (0, 1).
        RefusedError: (ε, δ) is so small that no order up to 10 000 leaves an allowance.
    """
    _check(epsilon, delta)
    order = max(range(2, MAXIMUM_ORDER + 1), key=lambda candidate: _allowance(epsilon, delta, candidate) / candidate)
    if _allowance(epsilon, delta, order) <= 0:
        raise RefusedError(
            f"A lifetime budget of ε={epsilon:g} at δ={delta:g} leaves nothing to spend at any Rényi order up to "
            f"{MAXIMUM_ORDER}; choose a larger ε or δ."
        )
    return order


def allowance_units(epsilon: float, delta: float, order: int) -> int:
    """The divergence at `order` that may be spent in a lifetime of (ε, δ), in ledger units, rounded down.

    r = ε − ln((α−1)/α) + (ln δ + ln α)/(α−1); the same on every machine.

    Raises:
        InvalidInputError: ε is not in (0, 100], δ not in (0, 1), or the order not a whole number from 2 to 10 000.
        RefusedError: r is not positive: this order cannot serve this budget.
    """
    _check(epsilon, delta)
    if not 2 <= order <= MAXIMUM_ORDER:
        raise InvalidInputError(f"The filter's order is {order}; it must be a whole number from 2 to {MAXIMUM_ORDER}.")
    with localcontext(_CONTEXT):
        whole = Decimal(order)
        nats = Decimal(epsilon) - ((whole - 1) / whole).ln() + (Decimal(delta).ln() + whole.ln()) / (whole - 1)
        units = int(((nats - _MARGIN) * UNITS_PER_NAT).to_integral_value(rounding=ROUND_FLOOR))
    if units <= 0:
        raise RefusedError(
            f"Order {order} leaves nothing to spend under ε={epsilon:g} and δ={delta:g}; take the order that "
            "suits them, or a larger ε."
        )
    return units


def _allowance(epsilon: float, delta: float, order: int) -> float:
    return epsilon - math.log1p(-1 / order) + (math.log(delta) + math.log(order)) / (order - 1)


def _check(epsilon: float, delta: float) -> None:
    if not 0 < epsilon <= 100:
        raise InvalidInputError(f"ε is {epsilon}; it must be above 0 and at most 100.")
    if not 0 < delta < 1:
        raise InvalidInputError(f"δ is {delta}; it must lie between 0 and 1.")
