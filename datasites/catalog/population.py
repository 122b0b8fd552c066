"""Which population a data set belongs to: the same people under another name join the budget they already have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policies.errors import RefusedError


@dataclass(frozen=True, eq=False)
class ExistingPopulation:
    """A population of this datasite: its id, the holdout fraction of all its data sets, and its units' fingerprints."""

    id: str
    holdout_fraction: float
    fingerprints: frozenset[str]

    def __repr__(self) -> str:
        """Show the id only: fingerprints are about people, even keyed."""
        return f"ExistingPopulation({self.id!r})"


def population_to_join(
    fingerprints: Iterable[str], holdout_fraction: float, existing: Sequence[ExistingPopulation]
) -> str | None:
    """The id of the population that shares a unit with the new data set, or None where its people are all new.

    One shared unit is enough. The caller adds the new units to the population that is joined, in the transaction that
    registers the data set.

    Raises:
        RefusedError: the units belong to two populations, whose budgets cannot be merged; or the holdout fraction is
            not that of the population, so that a unit could be trained on in one data set and held out in the other,
            and would be charged to two partitions that each have the whole allowance.
    """
    units = frozenset(fingerprints)
    overlapping = [population for population in existing if not units.isdisjoint(population.fingerprints)]
    if not overlapping:
        return None
    if len(overlapping) > 1:
        raise RefusedError(
            f"This table shares units with {len(overlapping)} populations, which have budgets of their own; "
            "split it so that each part shares units with one population only."
        )
    (population,) = overlapping
    if population.holdout_fraction != holdout_fraction:
        raise RefusedError(
            f"This table shares units with a population held out at {population.holdout_fraction} and its manifest "
            f"says {holdout_fraction}; set holdout.fraction to {population.holdout_fraction}."
        )
    return population.id
