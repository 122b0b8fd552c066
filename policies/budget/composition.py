"""What several studies cost one person together: their mechanisms composed, at every Rényi order, in exact sums."""

import math
from dataclasses import dataclass
from functools import lru_cache

from policies.budget.costs import PARTITIONS, Partition, worst_mechanisms
from policies.budget.renyi import ORDERS, UNITS_PER_NAT, GaussianMechanism, converted, renyi_divergence
from policies.terms import Terms

_Divergences = tuple[int, ...]
_NOTHING: _Divergences = (0,) * len(ORDERS)


@dataclass(frozen=True)
class Composition:
    """Divergences in ledger units at each of `ORDERS`, for somebody in training and for somebody in evaluation.

    Whole units, rounded up: whatever the order in which studies are added, the sum is the same to the last digit.
    """

    training: _Divergences = _NOTHING
    evaluation: _Divergences = _NOTHING

    def plus(self, terms: Terms) -> "Composition":
        """This, and one more study with all that its terms may charge at worst."""
        mechanisms = worst_mechanisms(terms)
        training, evaluation = (_sum(self._of(it), mechanisms.get(it)) for it in PARTITIONS)
        return Composition(training, evaluation)

    def epsilon(self, delta: float) -> float:
        """ε at `delta` of whoever it costs most, at the best order; 0 of nothing.

        Of mechanisms that were all fixed beforehand it is a bound. Of studies chosen while results were seen it is what
        an owner may count with, and no bound: that is what the filter over the lifetime budget gives.
        """
        return max(_epsilon(self._of(it), delta) for it in PARTITIONS)

    def _of(self, partition: Partition) -> _Divergences:
        return self.training if partition == "training" else self.evaluation


def _sum(before: _Divergences, mechanism: GaussianMechanism | None) -> _Divergences:
    return before if mechanism is None else tuple(map(sum, zip(before, _divergences(mechanism), strict=True)))


@lru_cache(maxsize=1024)
def _divergences(mechanism: GaussianMechanism) -> _Divergences:
    return tuple(math.ceil(renyi_divergence(mechanism, order) * UNITS_PER_NAT) for order in ORDERS)


def _epsilon(divergences: _Divergences, delta: float) -> float:
    if divergences == _NOTHING:
        return 0.0
    pairs = zip(divergences, ORDERS, strict=True)
    return max(0.0, min(converted(units / UNITS_PER_NAT, delta, order) for units, order in pairs))
