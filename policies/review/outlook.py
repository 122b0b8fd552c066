"""What a request takes from a population's budget at worst, what remains then, and how many more like it would fit."""

from typing import Annotated

from pydantic import Field

from policies.budget.balance import Balance
from policies.budget.costs import PARTITIONS, Cost, request_epsilon
from policies.statements.schema import StrictModel
from policies.terms import Terms

_Share = Annotated[float, Field(ge=-1e9, le=1e9)]


class Outlook(StrictModel):
    """Shares of the lifetime allowance, of what the request costs most; `more_like_this` counts beyond this one.

    The two figures of ε are this request's own: what bounds everybody outside the site if all other sites collude, and
    what bounds them if as many are honest as the terms count on.
    """

    takes: dict[str, _Share]
    remains: dict[str, _Share]
    more_like_this: Annotated[int, Field(ge=0)]
    epsilon_if_all_others_collude: Annotated[float, Field(ge=0)]
    epsilon_under_honest_threshold: Annotated[float, Field(ge=0)]
    honest: Annotated[int, Field(ge=1)]
    fits: bool

    def sentences(self) -> tuple[str, ...]:
        """The same in words, for the owner."""
        taken = " and ".join(f"{_percent(self.takes[it])} of the allowance of people in {it}" for it in PARTITIONS)
        left = " and ".join(f"{_percent(self.remains[it])} for {it}" for it in PARTITIONS)
        after = (
            f"Then {left} would remain: {_more(self.more_like_this)}."
            if self.fits
            else "That is more than there is left."
        )
        return (
            f"At worst, with every round and every repetition, this takes {taken}. {after}",
            f"Its own privacy loss is at most ε={self.epsilon_if_all_others_collude:.3g}, even if all other sites "
            f"collude with the researcher. Counting on {self.honest} honest sites, as the terms do, it is bounded by "
            f"the same ε={self.epsilon_under_honest_threshold:.3g}: each site adds all the noise itself, so nobody's "
            "honesty is needed for it. The others' noise comes on top; no smaller figure is claimed for that, since "
            "finished updates, cut to a range, are summed, and not each noised step.",
        )


def outlook(terms: Terms, cost: Cost, left: Balance) -> Outlook | None:
    """How the population's budget would look after `terms`, whose worst case is `cost`, on top of what `left` says.

    None for an unbounded study: the budget knows nothing of it.
    """
    after = {it: left.of(it).remaining_units - cost.of(it) for it in PARTITIONS}
    whole = {it: left.of(it).allowance_units for it in PARTITIONS}
    # Under the honest threshold the sum is a function of this site's noised steps and of values independent of its
    # records, so post-processing bounds it by the same ε; a smaller one would need noise summed at each step.
    worst = request_epsilon(terms)
    if worst is None:
        return None
    return Outlook(
        takes={it: cost.of(it) / whole[it] for it in PARTITIONS},
        remains={it: after[it] / whole[it] for it in PARTITIONS},
        more_like_this=max(0, min(after[it] // cost.of(it) for it in PARTITIONS if cost.of(it))),
        epsilon_if_all_others_collude=worst,
        epsilon_under_honest_threshold=worst,
        honest=terms.secure_averaging.minimum_cohort - terms.secure_averaging.colluders,
        fits=left.fits(cost),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _more(count: int) -> str:
    return "not one more like this would fit" if count == 0 else f"{count} more like this would fit"
