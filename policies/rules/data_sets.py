"""What the rules demand of a request on given data sets: the stricter of the site's rule and each data set's own."""

from collections.abc import Iterable
from dataclasses import dataclass

from policies.rules.house_rules import HouseRules


@dataclass(frozen=True)
class Demands:
    """The protections that a request must have; `closed` names data sets that may not be used for it at all."""

    minimum_cohort: int
    minimum_colluders: int
    maximum_epsilon: float
    closed_to_studies: tuple[str, ...]
    closed_to_jobs: tuple[str, ...]


def demands(rules: HouseRules, names: Iterable[str]) -> Demands:
    """What a request demands that uses the data sets, or sets of files, called `names`."""
    found = [(name, rules.data_sets[name]) for name in names if name in rules.data_sets]
    own = [it for _, it in found]
    return Demands(
        minimum_cohort=max(rules.minimum_cohort, *(it.minimum_cohort or 0 for it in own), 0),
        minimum_colluders=max(rules.minimum_colluders, *(it.minimum_colluders or 0 for it in own), 0),
        maximum_epsilon=min(
            [rules.maximum_epsilon, *(it.maximum_epsilon for it in own if it.maximum_epsilon is not None)]
        ),
        closed_to_studies=tuple(name for name, it in found if not it.studies),
        closed_to_jobs=tuple(name for name, it in found if not it.jobs),
    )
