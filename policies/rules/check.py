"""The linter of house rules: what a set would do with past requests, and where it is contradictory or dangerous."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from policies.budget.costs import request_cost
from policies.rules.approved import Approved, quarter_of
from policies.rules.auto_approval import automatic_obstacles, looser
from policies.rules.house_rules import HouseRules
from policies.rules.jobs import AskedJob, job_obstacles
from policies.rules.studies import AskedStudy, study_obstacles
from policies.terms import Terms


@dataclass(frozen=True)
class PastStudy:
    """A study that was asked for; `decided_at` is when it was approved, or would be decided on if it was not.

    `delta` and `filter_order` are those of `population`. `approved_by` is None where nobody approved it.
    """

    number: int
    title: str
    terms: Terms
    data_set: str
    population: str
    delta: float
    filter_order: int
    received_at: int
    decided_at: int
    approved_by: Literal["person", "rules"] | None
    stands: bool
    """Whether an approval of it holds: not denied, taken back or ended before its time."""


@dataclass(frozen=True)
class PastJob:
    """A job that was asked for; `decided_at` is when it was decided on, or would be."""

    number: int
    title: str
    asked: AskedJob
    decided_at: int


@dataclass(frozen=True)
class Outcome:
    """What a set of rules would have done with one request; `precedent` is the number that approves it by itself."""

    number: int
    title: str
    result: Literal["allowed", "forbidden", "automatic"]
    sentences: tuple[str, ...]
    precedent: int | None = None


def outcomes(
    rules: HouseRules, studies: Sequence[PastStudy], jobs: Sequence[PastJob], newest: int
) -> tuple[Outcome, ...]:
    """What `rules` would have done with the `newest` last requests, each at the moment when it was decided on.

    The caps count what was in fact approved before; how many studies the rules approved by themselves in a quarter
    counts what these rules would have approved.
    """
    shown = sorted((*(it.number for it in studies), *(it.number for it in jobs)))[-newest:]
    approved, found = Approved(), []
    automatic = Counter[str]()
    for study in sorted(studies, key=lambda it: (it.decided_at, it.number)):
        outcome = _study(rules, study, studies, approved, automatic)
        if outcome.result == "automatic":
            automatic[quarter_of(study.decided_at)] += 1
        if study.approved_by is not None:
            approved.add(study.population, study.terms, study.decided_at, automatic=False)
        found.append(outcome)
    found += [_job(rules, it) for it in jobs]
    return tuple(sorted((it for it in found if it.number in shown), key=lambda it: it.number))


def remarks(rules: HouseRules, data_sets: Collection[str]) -> tuple[str, ...]:
    """Where the rules contradict themselves, protect nothing or are dangerous; `data_sets` are the names there are."""
    own = rules.auto_approval
    unknown = sorted(rules.data_sets.keys() - set(data_sets))
    weakened = [
        f"data_sets.{name}.{rule} changes nothing: the rule of the whole site is stricter."
        for name, section in sorted(rules.data_sets.items())
        for rule, weaker in (
            ("minimum_cohort", (section.minimum_cohort or rules.minimum_cohort) < rules.minimum_cohort),
            ("minimum_colluders", _or(section.minimum_colluders, rules.minimum_colluders) < rules.minimum_colluders),
            ("maximum_epsilon", _or(section.maximum_epsilon, rules.maximum_epsilon) > rules.maximum_epsilon),
        )
        if weaker
    ]
    unreachable = [
        f"{name} is below maximum_epsilon: no request may promise as much as maximum_epsilon lets it."
        for name, cap in (
            ("maximum_epsilon_per_researcher", rules.maximum_epsilon_per_researcher),
            ("maximum_epsilon_per_quarter", rules.maximum_epsilon_per_quarter),
        )
        if cap is not None and cap < rules.maximum_epsilon
    ]
    notes = (
        (
            rules.minimum_colluders == 0,
            "minimum_colluders is 0: if one other site helps the researcher, a sum may show what this site sent.",
        ),
        (
            rules.minimum_cohort < rules.minimum_colluders + 2,
            "minimum_cohort is below minimum_colluders + 2, which every study has that withstands so many: it changes "
            "nothing.",
        ),
        (
            own is not None and rules.maximum_epsilon_per_quarter is None,
            "auto_approval without maximum_epsilon_per_quarter: nothing but the number of studies and the lifetime "
            "budget bounds what the rules spend of a data set without a person.",
        ),
        (
            own is not None and own.maximum_epsilon > rules.maximum_epsilon,
            "auto_approval.maximum_epsilon is above maximum_epsilon, which holds for every request.",
        ),
        (
            rules.jobs.release_clean,
            "jobs.release_clean is true: outputs leave unseen by a person, and no inspection can prove them harmless.",
        ),
        (rules.researchers == (), "researchers is empty: nobody may ask anything."),
        (rules.maximum_epsilon > 10, "maximum_epsilon is above 10: such a promise hides little of anybody."),
        (bool(unknown), f"There is no data set or set of files {', '.join(f'«{it}»' for it in unknown)} here."),
    )
    return (*(sentence for applies, sentence in notes if applies), *weakened, *unreachable)


def _study(
    rules: HouseRules,
    study: PastStudy,
    studies: Sequence[PastStudy],
    approved: Approved,
    automatic: Mapping[str, int],
) -> Outcome:
    before = approved.before(rules, study.population, study.terms.researcher, study.decided_at)
    asked = AskedStudy(study.terms, study.data_set, study.received_at, study.delta, before)
    forbidden = study_obstacles(rules, asked, study.decided_at)
    if forbidden:
        return Outcome(study.number, study.title, "forbidden", tuple(forbidden))
    if automatic_obstacles(rules, study.terms, automatic[quarter_of(study.decided_at)]):
        return Outcome(study.number, study.title, "allowed", ())
    precedent = next((it for it in reversed(studies) if _is_precedent(study, it)), None)
    if precedent is None:
        return Outcome(study.number, study.title, "allowed", ())
    because = f"It is like request {precedent.number}, which a person approved, and nowhere looser."
    return Outcome(study.number, study.title, "automatic", (because,), precedent.number)


def _is_precedent(study: PastStudy, other: PastStudy) -> bool:
    if other.approved_by != "person" or not other.stands or other.decided_at > study.received_at:
        return False
    if other.number == study.number or other.data_set != study.data_set or other.terms.expires_at <= study.received_at:
        return False
    cost, known = (request_cost(it.terms, study.filter_order) for it in (study, other))
    return not looser(study.terms, other.terms, cost, known)


def _job(rules: HouseRules, job: PastJob) -> Outcome:
    forbidden = job_obstacles(rules, job.asked, job.decided_at)
    return Outcome(job.number, job.title, "forbidden" if forbidden else "allowed", tuple(forbidden))


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
