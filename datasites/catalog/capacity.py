"""How many places for units there must be, from public numbers alone."""

from math import ceil, sqrt

from policies.manifest import MOST_OF_NOMINAL

_DEVIATIONS = 6


def capacity(nominal_units: int, rate: float) -> int:
    """Places for units of which each is taken with probability `rate`, as into a sample.

    The catalog admits up to `MOST_OF_NOMINAL` times the nominal number of units. Coins say whether one of them is on
    this side of the split, which of a site's machines has it, and whether it is in the sample: their sum has a variance
    below its mean, and hardly ever exceeds that by six deviations.
    """
    mean = MOST_OF_NOMINAL * nominal_units * rate
    return max(1, ceil(mean + _DEVIATIONS * sqrt(mean)))
