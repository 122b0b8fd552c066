"""Which population a data set belongs to: the same people under another name join the budget they already have."""

from collections.abc import Mapping

from policies.errors import RefusedError


def population_to_join(sharing: Mapping[str, float], holdout_fraction: float) -> str | None:
    """The id of the population that shares a unit with the new data set, or None where its people are all new.

    One shared unit is enough. The caller adds the new units to the population that is joined, in the transaction that
    registers the data set.

    Args:
        sharing: the populations that share a unit with it, and the holdout fraction of all their data sets.

    Raises:
        RefusedError: the units belong to two populations, whose budgets cannot be merged; or the holdout fraction is
            not that of the population, so that a unit could be trained on in one data set and held out in the other,
            and would be charged to two partitions that each have the whole allowance.
    """
    if not sharing:
        return None
    if len(sharing) > 1:
        raise RefusedError(
            f"This table shares units with {len(sharing)} populations, which have budgets of their own; "
            "split it so that each part shares units with one population only."
        )
    ((population, fraction),) = sharing.items()
    if fraction != holdout_fraction:
        raise RefusedError(
            f"This table shares units with a population held out at {fraction} and its manifest "
            f"says {holdout_fraction}; set holdout.fraction to {fraction}."
        )
    return population
