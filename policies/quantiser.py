"""How numbers travel in a sum: as whole numbers of a grid that is public and the same at every site."""

COUNT_BITS, COUNT_RANGE = 25, 2.0**22
"""Counts over holdout units travel in steps of a quarter of a unit, up to 4 million units a site.

The same for every study, since sites that quantised differently would add up to nonsense. 100 sites stay below 2³¹.
"""


def levels(bits: int) -> int:
    """The whole number, of `bits` bits, that the end of the range becomes; the grid is symmetric, so nothing leans."""
    return (1 << (bits - 1)) - 1
