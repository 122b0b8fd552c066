"""What a request takes from a population's budget at worst, what remains then, and how many more like it would fit."""

from typing import Annotated

from pydantic import Field

from policies.budget.balance import Balance
from policies.budget.costs import PARTITIONS, Cost, request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from policies.statements.schema import StrictModel
from policies.terms import Terms

_Share = Annotated[float, Field(ge=-1e9, le=1e9)]


class Outlook(StrictModel):
    """Shares of the lifetime allowance, of what the request costs most; `more_like_this` counts beyond this one.

    The two figures of ε are this request's own: what bounds everybody outside the site if all other sites collude, and
    what bounds them if as many are honest as the terms count on. The first is what is charged.
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
            f"collude with the researcher: that is what is charged. {self._if_honest()}",
        )

    def _if_honest(self) -> str:
        counting = f"Counting on {self.honest} honest sites, as the terms do, this one among them, it is at most"
        if self.epsilon_under_honest_threshold < self.epsilon_if_all_others_collude:
            return (
                f"{counting} ε={self.epsilon_under_honest_threshold:.3g}: nobody else sees less than the sum over "
                "them, and each adds noise of its own. That holds while the others are honest, and nothing rests on it."
            )
        return (
            f"{counting} the same ε={self.epsilon_under_honest_threshold:.3g}: a smaller figure is claimed only where "
            "each sum is one plain step, with a range and bits that leave room for its noise."
        )


def outlook(terms: Terms, site: str, cost: Cost, left: Balance) -> Outlook | None:
    """How the budget of people at `site` would look after `terms`, which cost `cost` at worst, on top of what `left`
    says.

    None for an unbounded study: the budget knows nothing of it.
    """
    after = {it: left.of(it).remaining_units - cost.of(it) for it in PARTITIONS}
    whole = {it: left.of(it).allowance_units for it in PARTITIONS}
    worst, honest = request_epsilon(terms), honest_epsilon(terms, site)
    if worst is None or honest is None:
        return None
    return Outlook(
        takes={it: cost.of(it) / whole[it] for it in PARTITIONS},
        remains={it: after[it] / whole[it] for it in PARTITIONS},
        more_like_this=max(0, min(after[it] // cost.of(it) for it in PARTITIONS if cost.of(it))),
        epsilon_if_all_others_collude=worst,
        epsilon_under_honest_threshold=honest,
        honest=terms.secure_averaging.honest,
        fits=left.fits(cost),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _more(count: int) -> str:
    return "not one more like this would fit" if count == 0 else f"{count} more like this would fit"
