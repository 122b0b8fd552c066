"""What the house rules forbid of a study, and that stricter rules never let through what looser ones forbid."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.budget.composition import Composition
from policies.budget.costs import request_epsilon
from policies.rules.approved import Approved, quarter_of
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, DataSetRules, HouseRules, parse_house_rules
from policies.rules.studies import AskedStudy, study_obstacles
from policies.rules.words import changes
from policies.terms import Terms
from tests.one_study import make_terms

NOW, DELTA = 1_900_000_000, 1e-6
ADA, EVE = "a1" * 32, "e2" * 32
DEFAULT = parse_house_rules(DEFAULT_HOUSE_RULES.encode())


def terms(researcher: str = ADA, **changed: Any) -> Terms:
    return make_terms("1" * 32, researcher, [f"{it:064x}" for it in range(3)], NOW + 86_400, changed)


def obstacles(rules: HouseRules, asked: Terms, approved: Approved | None = None, now: int = NOW) -> list[str]:
    before = (approved or Approved()).before(rules, "people", asked.researcher, now)
    return study_obstacles(rules, AskedStudy(asked, "clinic-a", NOW, DELTA, before), now)


def changed(**rules: Any) -> HouseRules:
    return DEFAULT.model_copy(update=rules)


def approved(*studies: Terms, at: int = NOW) -> Approved:
    sums = Approved()
    for it in studies:
        sums.add("people", it, at, automatic=False)
    return sums


def test_the_default_rules_let_a_usual_study_be() -> None:
    assert obstacles(DEFAULT, terms()) == []


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ({"minimum_cohort": 4}, "as few as 3 sites"),
        ({"minimum_colluders": 2}, "withstands 1 colluding"),
        ({"maximum_epsilon": 4.9}, "at most 4.9"),
        ({"studies": False}, "no model is trained on «clinic-a»"),
    ],
)
def test_the_stricter_of_site_and_data_set_holds(section: dict[str, Any], word: str) -> None:
    own = changed(data_sets={"clinic-a": DataSetRules(**section)})
    (obstacle,) = obstacles(own, terms())
    assert word in obstacle
    assert obstacles(changed(data_sets={"clinic-b": DataSetRules(**section)}), terms()) == []


def test_a_data_set_cannot_loosen_the_rules_of_the_site() -> None:
    loose = DataSetRules(minimum_cohort=2, minimum_colluders=0, maximum_epsilon=100.0)
    own = changed(data_sets={"clinic-a": loose}, minimum_cohort=4, minimum_colluders=2, maximum_epsilon=1.0)
    assert len(obstacles(own, terms())) == 3


def test_the_caps_count_what_was_approved_for_the_same_people() -> None:
    one = Composition().plus(terms()).epsilon(DELTA)
    assert one == pytest.approx(request_epsilon(terms()), rel=1e-6)
    two = Composition().plus(terms()).plus(terms()).epsilon(DELTA)
    assert one < two < 2 * one
    cap = changed(maximum_epsilon_per_researcher=two)
    assert obstacles(cap, terms(), approved(terms())) == []
    (obstacle,) = obstacles(cap, terms(), approved(terms(), terms()))
    assert "for this researcher, ever" in obstacle
    assert obstacles(cap, terms(EVE), approved(terms(), terms())) == []
    assert obstacles(changed(maximum_epsilon_per_quarter=two), terms(EVE), approved(terms(), terms()))


def test_a_quarter_begins_with_nothing() -> None:
    cap = changed(maximum_epsilon_per_quarter=Composition().plus(terms()).epsilon(DELTA), decide_within_days=None)
    before = approved(terms())
    assert obstacles(cap, terms(), before)
    assert obstacles(cap, terms(), before, now=1_901_232_000) == []


@pytest.mark.parametrize(
    ("at", "quarter"),
    [(0, "1970 Q1"), (1_901_231_999, "2030 Q1"), (1_901_232_000, "2030 Q2"), (2**40, "9999 Q4")],
)
def test_quarters_are_those_of_the_calendar_in_utc(at: int, quarter: str) -> None:
    assert quarter_of(at) == quarter


def test_the_order_of_approvals_changes_no_sum() -> None:
    studies = [terms(training={"noise_multiplier": 8.0 + it, "sampling_rate": 0.5}) for it in range(5)]
    there, back = Composition(), Composition()
    for it in studies:
        there = there.plus(it)
    for it in reversed(studies):
        back = back.plus(it)
    assert there == back


SECTIONS = st.builds(
    DataSetRules,
    minimum_cohort=st.none() | st.integers(2, 5),
    minimum_colluders=st.none() | st.integers(0, 3),
    maximum_epsilon=st.none() | st.floats(1.0, 10.0),
    studies=st.booleans(),
)
RULES = st.builds(
    HouseRules,
    minimum_cohort=st.integers(2, 5),
    minimum_colluders=st.integers(0, 3),
    maximum_epsilon=st.floats(1.0, 10.0),
    maximum_epsilon_per_researcher=st.none() | st.floats(0.5, 5.0),
    maximum_epsilon_per_quarter=st.none() | st.floats(0.5, 5.0),
    maximum_days=st.integers(1, 3),
    maximum_round_minutes=st.integers(1, 3),
    decide_within_days=st.none() | st.integers(1, 3),
    researchers=st.sampled_from([None, (), (ADA,), (ADA, EVE)]),
    data_sets=st.dictionaries(st.just("clinic-a"), SECTIONS),
)
TERMS = st.builds(
    lambda cohort, colluders, epsilon, noise: terms(
        secure_averaging={"minimum_cohort": max(cohort, colluders + 2), "colluders": colluders},
        privacy={"epsilon": epsilon},
        training={"noise_multiplier": noise},
    ),
    st.integers(2, 3),
    st.integers(0, 1),
    st.floats(1.0, 10.0),
    st.floats(5.0, 50.0),
)


@settings(max_examples=150, deadline=None)
@given(RULES, RULES, TERMS, st.lists(TERMS, max_size=2), st.integers(0, 3 * 86_400))
def test_stricter_rules_never_let_be_what_looser_ones_forbid(
    one: HouseRules, other: HouseRules, asked: Terms, before: list[Terms], later: int
) -> None:
    """Each rule of the stricter set is the stricter of two: whatever either forbids, it forbids too."""
    both = stricter(one, other)
    assert all(it.direction != "looser" for rules in (one, other) for it in changes(rules, both))
    forbidden = [bool(obstacles(it, asked, approved(*before), NOW + later)) for it in (one, other, both)]
    assert forbidden[2] >= max(forbidden[:2])


def stricter(one: HouseRules, other: HouseRules) -> HouseRules:
    """The rules that demand all that either does."""
    return HouseRules(
        minimum_cohort=max(one.minimum_cohort, other.minimum_cohort),
        minimum_colluders=max(one.minimum_colluders, other.minimum_colluders),
        maximum_epsilon=min(one.maximum_epsilon, other.maximum_epsilon),
        maximum_epsilon_per_researcher=_least(one.maximum_epsilon_per_researcher, other.maximum_epsilon_per_researcher),
        maximum_epsilon_per_quarter=_least(one.maximum_epsilon_per_quarter, other.maximum_epsilon_per_quarter),
        maximum_days=min(one.maximum_days, other.maximum_days),
        maximum_round_minutes=min(one.maximum_round_minutes, other.maximum_round_minutes),
        decide_within_days=_least(one.decide_within_days, other.decide_within_days),
        researchers=_common(one.researchers, other.researchers),
        data_sets={
            name: _section(one.data_sets.get(name, DataSetRules()), other.data_sets.get(name, DataSetRules()))
            for name in {*one.data_sets, *other.data_sets}
        },
    )


def _section(one: DataSetRules, other: DataSetRules) -> DataSetRules:
    return DataSetRules(
        minimum_cohort=_most(one.minimum_cohort, other.minimum_cohort),
        minimum_colluders=_most(one.minimum_colluders, other.minimum_colluders),
        maximum_epsilon=_least(one.maximum_epsilon, other.maximum_epsilon),
        studies=one.studies and other.studies,
    )


def _least(*values: Any) -> Any:
    return min((it for it in values if it is not None), default=None)


def _most(*values: Any) -> Any:
    return max((it for it in values if it is not None), default=None)


def _common(*lists: tuple[str, ...] | None) -> tuple[str, ...] | None:
    given_ = [set(it) for it in lists if it is not None]
    return tuple(sorted(set.intersection(*given_))) if given_ else None
