"""The grid on which a step's noised sum lies: the coarsest last bit that its float64 numbers can have, whatever it was.

Of a number near zero the last bits would else tell how large the sum was before the noise (Mironov 2012, On
Significance of the Least Significant Bits for Differential Privacy).
"""

from math import ceil, log2

_MOST_DEVIATIONS = 10
"""No number that the noise is made from is further from zero: 53 random bits give 8.6 deviations at most."""
_BITS = 52


def noise_grid(noise_multiplier: float, clipping_norm: float, nominal_units: float) -> float:
    """The distance of its points: a power of two, no less than the last bit of any noised sum.

    Args:
        nominal_units: the public number of training units; there are hardly ever more than twice as many and 64.
    """
    most = clipping_norm * (2 * nominal_units + 64 + _MOST_DEVIATIONS * noise_multiplier)
    return 2.0 ** (ceil(log2(most)) - _BITS)
