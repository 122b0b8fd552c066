"""When the rules approve a study by themselves: it is like one that a person approved here, and nowhere looser."""

from collections.abc import Iterator, Mapping
from typing import Any

from policies.budget.costs import PARTITIONS, Cost
from policies.rules.house_rules import HouseRules
from policies.terms import Terms

_FREE = frozenset(
    {
        "study",
        "title",
        "programs.source",  # it is read, and never runs
        "training.sampling_rate",
        "training.noise_multiplier",
        "training.clipping_norm",
        "training.learning_rate",
        "training.optimizer.momentum",
        "training.optimizer.decays",
        "training.optimizer.epsilon",
        "training.optimizer.weight_decay",
        "training.schedule.type",
        "training.schedule.warm_up_steps",
        "evaluation.models",
        "evaluation.noise_multiplier",
    }
)
"""What may change: names, and numbers that the cost bounds, or that only say how well a model learns."""

_NO_MORE = frozenset(
    {
        "expires_at",
        "privacy.epsilon",
        "privacy.delta",
        "training.rounds",
        "training.local_steps",
        "training.retries",
        "deadlines.setup_seconds",
        "deadlines.round_seconds",
    }
)
_ABSENT: Any = object()
_NO_LESS = frozenset({"secure_averaging.minimum_cohort", "secure_averaging.colluders"})


def looser(terms: Terms, precedent: Terms, cost: Cost, precedent_cost: Cost) -> list[str]:
    """In what a study goes beyond `precedent`, a sentence each; none, if a person's approval of that covers it too.

    It asks the same sites, for the same researcher and purpose, for the same programs with the same numbers in them,
    costs no more of the budget and ends no later. A field that is not known here must be the same.

    Args:
        cost: what `terms` may take of the budget at worst; `precedent_cost` likewise, at the same filter order.
    """
    found = []
    old, new = (dict(_flat(it.model_dump(mode="json"))) for it in (precedent, terms))
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if _ABSENT in (before, now):
            holds, expected = False, "there as in"
        elif name in _NO_MORE:
            holds, expected = now <= before, "no more than"
        elif name in _NO_LESS:
            holds, expected = now >= before, "no less than"
        else:
            holds, expected = name in _FREE or now == before, "the same as"
        if not holds:
            found.append(f"Its {name} is not {expected} that of the study it is measured by.")
    if len(terms.evaluation.models) > len(precedent.evaluation.models):
        found.append("It measures more models than the study it is measured by.")
    found += [
        f"It costs people in {it} more than the study it is measured by."
        for it in PARTITIONS
        if cost.of(it) > precedent_cost.of(it)
    ]
    return found


def automatic_obstacles(rules: HouseRules, terms: Terms, automatic: int) -> list[str]:
    """What keeps the rules from approving by themselves, whatever a study is measured by; a sentence each.

    `automatic` is how many others they have approved in the same quarter.
    """
    own = rules.auto_approval
    if own is None:
        return ["The house rules approve nothing by themselves."]
    found = []
    if terms.privacy is None:
        found.append("It gives no privacy guarantee: that takes a person.")
    elif terms.privacy.epsilon > own.maximum_epsilon:
        found.append(f"It asks for ε={terms.privacy.epsilon:g}; without a person, at most {own.maximum_epsilon:g}.")
    if automatic >= own.studies_a_quarter:
        found.append(f"The rules have approved {automatic} studies in this quarter, as many as they may.")
    return found


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner
