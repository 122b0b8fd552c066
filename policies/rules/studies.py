"""What of a study the house rules forbid: protections, caps on ε, who asks, and how long it has waited."""

from dataclasses import dataclass

from policies.budget.composition import Composition
from policies.rules.approved import Before
from policies.rules.data_sets import demands
from policies.rules.house_rules import HouseRules
from policies.rules.requests import Check, broken, shared_checks
from policies.terms import Privacy, Terms

_ROUNDING = 1e-9
"""Logarithms differ in their last digits from machine to machine: an auditor's may find a cap exceeded by less."""


@dataclass(frozen=True)
class AskedStudy:
    """A study as a site's rules see it: for which of its data sets, since when, and what was approved before.

    `delta` is the population's.
    """

    terms: Terms
    data_set: str
    received_at: int
    delta: float
    before: Before


def study_obstacles(rules: HouseRules, asked: AskedStudy, now: int) -> list[str]:
    """What of the study the rules forbid, a sentence each; `now` in seconds since 1970."""
    terms = asked.terms
    averaging, deadlines, demanded = terms.secure_averaging, terms.deadlines, demands(rules, (asked.data_set,))
    checks: tuple[Check, ...] = (
        (not demanded.closed_to_studies, f"no model is trained on «{asked.data_set}»"),
        (
            averaging.minimum_cohort >= demanded.minimum_cohort,
            f"a sum may cover as few as {averaging.minimum_cohort} sites; the house rules ask for "
            f"{demanded.minimum_cohort}",
        ),
        (
            averaging.colluders >= demanded.minimum_colluders,
            f"the sum withstands {averaging.colluders} colluding sites; the house rules ask for "
            f"{demanded.minimum_colluders}",
        ),
        _privacy_check(rules, terms.privacy, demanded.maximum_epsilon),
        (
            max(deadlines.setup_seconds, deadlines.round_seconds) <= 60 * rules.maximum_round_minutes,
            f"a round may take {deadlines.round_seconds} s and a set-up {deadlines.setup_seconds} s; the house rules "
            f"allow at most {rules.maximum_round_minutes} minutes",
        ),
        *shared_checks(rules, terms.researcher, asked.received_at, terms.expires_at, rules.maximum_days, now),
    )
    return broken(checks, "request") + _caps(rules, asked)


def _privacy_check(rules: HouseRules, privacy: Privacy | None, most: float) -> Check:
    if privacy is None:
        return (
            rules.unbounded_studies,
            "the study gives no privacy guarantee; the house rules ask for one (unbounded_studies = false)",
        )
    return (
        privacy.epsilon <= most,
        f"the study asks for ε={privacy.epsilon:g}; the house rules allow at most {most:g}",
    )


def _caps(rules: HouseRules, asked: AskedStudy) -> list[str]:
    caps = (
        (rules.maximum_epsilon_per_researcher, asked.before.researcher, "for this researcher, ever"),
        (rules.maximum_epsilon_per_quarter, asked.before.quarter, "in this quarter, for anybody"),
    )
    return broken([_cap(cap, before, asked, what) for cap, before, what in caps if cap is not None], "request")


def _cap(cap: float, before: Composition, asked: AskedStudy, what: str) -> Check:
    reached = before.plus(asked.terms).epsilon(asked.delta)
    return (
        reached <= cap + _ROUNDING,
        f"with what was approved {what}, the people of «{asked.data_set}» would reach ε={reached:.4g}; the house rules "
        f"allow {cap:g}",
    )
