"""What a site has approved so far, as the caps over many studies count it: by researcher, and by calendar quarter.

Counted are studies that were approved, by a person or by the rules, each with all that its terms may charge at worst,
and for good: also where less was charged in the end. Jobs carry no ε.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.budget.composition import Composition
from policies.rules.house_rules import HouseRules
from policies.terms import Terms

_LAST_SECOND = 253_402_300_799


def quarter_of(at: int) -> str:
    """The calendar quarter, in UTC, of a moment in seconds since 1970: `2030 Q1`."""
    moment = datetime.fromtimestamp(min(at, _LAST_SECOND), UTC)
    return f"{moment.year} Q{(moment.month + 2) // 3}"


@dataclass(frozen=True)
class Before:
    """What was approved before on one population: for one researcher, and for anybody in one quarter.

    `automatic` counts the studies that the rules themselves approved in that quarter, on all data.
    """

    researcher: Composition
    quarter: Composition
    automatic: int


class _Sum:
    """Studies to be composed, as far as somebody has asked for it."""

    def __init__(self) -> None:
        self._composed = Composition()
        self._pending: list[Terms] = []

    def add(self, terms: Terms) -> None:
        self._pending.append(terms)

    def composed(self) -> Composition:
        while self._pending:
            self._composed = self._composed.plus(self._pending.pop())
        return self._composed


class Approved:
    """The sums over all approvals, which are added in any order."""

    def __init__(self) -> None:
        self._by_researcher: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
        self._by_quarter: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
        self._automatic = Counter[str]()

    def add(self, population: str, terms: Terms, at: int, *, automatic: bool) -> None:
        """Count a study on `population` that was approved at `at` (seconds since 1970)."""
        for sums, key in ((self._by_researcher, terms.researcher), (self._by_quarter, quarter_of(at))):
            sums[population, key].add(terms)
        self._automatic[quarter_of(at)] += automatic

    def before(self, rules: HouseRules, population: str, researcher: str, at: int) -> Before:
        """What counts against a study of `researcher` on `population` at `at`; only what `rules` cap is summed."""
        quarter, nothing = quarter_of(at), Composition()
        by_researcher, by_quarter = self._by_researcher[population, researcher], self._by_quarter[population, quarter]
        return Before(
            nothing if rules.maximum_epsilon_per_researcher is None else by_researcher.composed(),
            nothing if rules.maximum_epsilon_per_quarter is None else by_quarter.composed(),
            self._automatic[quarter],
        )
