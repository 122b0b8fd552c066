"""The linter of house rules, and what changes between two sets of them in words."""

from typing import Any

import pytest

from policies.budget.filter import filter_order
from policies.errors import InvalidInputError
from policies.rules.check import PastJob, PastStudy, outcomes, remarks
from policies.rules.house_rules import (
    DEFAULT_HOUSE_RULES,
    AutoApprovalRules,
    DataSetRules,
    HouseRules,
    parse_house_rules,
)
from policies.rules.job_rules import JobRules
from policies.rules.jobs import AskedJob
from policies.rules.training_rules import TrainingRules
from policies.rules.words import changes, rule_values
from tests.policies.jobs.test_terms import terms as job_terms
from tests.policies.rules.test_studies import ADA, DEFAULT, DELTA, NOW, changed, terms

AUTOMATIC = changed(auto_approval=AutoApprovalRules(studies_a_quarter=1, maximum_epsilon=5.0))


def past(number: int, **fields: Any) -> PastStudy:
    """A study that came a minute after the one before, and that nobody approved."""
    usual: dict[str, Any] = {
        "number": number,
        "title": f"Study {number}",
        "terms": terms().model_copy(update={"study": f"{number:032x}"}),
        "data_set": "clinic-a",
        "population": "people",
        "delta": DELTA,
        "filter_order": filter_order(10.0, DELTA),
        "received_at": NOW + 60 * number,
        "decided_at": NOW + 60 * number + 30,
        "approved_by": None,
        "stands": False,
    }
    return PastStudy(**(usual | fields))


FIRST = past(1, approved_by="person", stands=True)


def results(rules: HouseRules, *studies: PastStudy, newest: int = 20) -> list[tuple[int, str, int | None]]:
    return [(it.number, it.result, it.precedent) for it in outcomes(rules, studies, (), newest)]


def test_each_request_is_allowed_forbidden_or_approved_because_of_another() -> None:
    dear = past(3, terms=terms(privacy={"epsilon": 11.0}))
    studies = (FIRST, past(2), dear, past(4))
    assert results(DEFAULT, *studies) == [(1, "allowed", None), (2, "allowed", None), (3, "forbidden", None), (4, "allowed", None)]  # fmt: skip  # noqa: E501
    found = outcomes(AUTOMATIC, studies, (), 20)
    assert [it.result for it in found] == ["allowed", "automatic", "forbidden", "allowed"]
    assert found[1].precedent == 1
    assert "ε=11" in found[2].sentences[0]


@pytest.mark.parametrize(
    "precedent",
    [
        past(1, approved_by="rules", stands=True),
        past(1, approved_by="person", stands=False),
        past(1, approved_by="person", stands=True, data_set="clinic-b"),
        past(1, approved_by="person", stands=True, terms=terms("e2" * 32)),
        past(1, approved_by="person", stands=True, decided_at=NOW + 10_000),
        past(1),
    ],
)
def test_what_no_person_approved_before_is_no_precedent(precedent: PastStudy) -> None:
    assert results(AUTOMATIC, precedent, past(2))[-1] == (2, "allowed", None)


def test_only_the_newest_are_told_and_all_count() -> None:
    cap = changed(maximum_epsilon_per_researcher=2.0)
    studies = [past(it, approved_by="person", stands=True) for it in range(1, 31)]
    found = outcomes(cap, studies, [PastJob(31, "A job", AskedJob(job_terms(), ("visits",), NOW), NOW)], 20)
    assert [it.number for it in found] == list(range(12, 32))
    assert {it.result for it in found if it.number < 31} == {"forbidden"}


def test_a_job_is_forbidden_by_the_rule_that_it_breaks() -> None:
    job = PastJob(1, "A job", AskedJob(job_terms(), ("visits",), None), 2_000_000_000 - 86_400)
    (allowed,) = outcomes(DEFAULT, (), (job,), 20)
    (forbidden,) = outcomes(changed(jobs=JobRules(maximum_memory_mib=256)), (), (job,), 20)
    assert (allowed.result, forbidden.result) == ("allowed", "forbidden")
    assert "memory" in forbidden.sentences[0]


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        (changed(minimum_colluders=0), "minimum_colluders is 0"),
        (changed(minimum_colluders=2), "minimum_cohort is below"),
        (AUTOMATIC, "without maximum_epsilon_per_quarter"),
        (
            changed(
                maximum_epsilon=4.0,
                maximum_epsilon_per_quarter=4.0,
                auto_approval=AutoApprovalRules(studies_a_quarter=1, maximum_epsilon=5.0),
            ),
            "which holds for every request",
        ),
        (changed(jobs=JobRules(release_clean=True)), "unseen by a person"),
        (changed(researchers=()), "nobody may ask"),
        (changed(maximum_epsilon=11.0), "hides little"),
        (changed(maximum_epsilon_per_quarter=1.0), "is below maximum_epsilon"),
        (changed(data_sets={"clinic-b": DataSetRules()}), "There is no data set or set of files «clinic-b»"),
        (changed(data_sets={"clinic-a": DataSetRules(maximum_epsilon=20.0)}), "changes nothing"),
    ],
)
def test_a_dangerous_or_contradictory_rule_is_remarked_on(rules: HouseRules, word: str) -> None:
    (remark,) = remarks(rules, ("clinic-a",))
    assert word in remark


def test_the_default_rules_need_no_remark_and_every_rule_of_them_is_shown() -> None:
    assert remarks(DEFAULT, ()) == ()
    values = rule_values(DEFAULT)
    assert values["minimum_cohort"] == "3"
    assert values["jobs.release_clean"] == "false"
    assert values["maximum_epsilon"] == "10"


def test_a_change_is_said_rule_by_rule_with_its_direction() -> None:
    new = changed(
        minimum_cohort=2,
        maximum_epsilon=3.0,
        decide_within_days=None,
        researchers=(ADA,),
        training=TrainingRules(gradients="full"),
        data_sets={"a.b": DataSetRules(jobs=False)},
        auto_approval=AutoApprovalRules(studies_a_quarter=1, maximum_epsilon=1.0),
    )
    said = {it.name: (it.direction, it.sentence) for it in changes(DEFAULT, new)}
    assert {name: direction for name, (direction, _) in said.items()} == {
        "minimum_cohort": "looser",
        "maximum_epsilon": "stricter",
        "decide_within_days": "looser",
        "researchers": "stricter",
        "training.gradients": "other",
        "data_sets.a.b.jobs": "stricter",
        "auto_approval.studies_a_quarter": "looser",
        "auto_approval.maximum_epsilon": "looser",
    }
    assert said["minimum_cohort"][1] == "minimum_cohort (the fewest sites that a sum may cover): 3 → 2"
    assert said["decide_within_days"][1].endswith("90 → not set")
    assert said["data_sets.a.b.jobs"][1] == "data_sets.a.b.jobs (for «a.b», code may see it): true → false"
    assert changes(new, new) == []
    assert len(changes(None, DEFAULT)) == len(rule_values(DEFAULT))


@pytest.mark.parametrize(
    "line",
    [
        "unknown = 1",
        "maximum_epsilon_per_quarter = 0",
        "researchers = ['ada']",
        "decide_within_days = 0",
        "[auto_approval]\nstudies_a_quarter = 3",
        "[auto_approval]\nstudies_a_quarter = 0\nmaximum_epsilon = 1.0",
        "[data_sets.'../x']\nstudies = false",
        "[data_sets.a]\nmaximum_epsilon = inf",
        "[shown]\nmock = 1",
        "maximum_days = 2030-01-01",
    ],
)
def test_a_rule_that_is_not_one_is_refused_by_name(line: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_house_rules(f"{line}\n{DEFAULT_HOUSE_RULES}".encode() if "[" not in line else _with(line))


def _with(section: str) -> bytes:
    name = section.split("]")[0].removeprefix("[")
    kept = DEFAULT_HOUSE_RULES.split("[shown]")
    rest = kept[1].split("\n[jobs]")
    shown = "" if name == "shown" else f"[shown]{rest[0]}"
    return f"{kept[0]}{shown}\n[jobs]{rest[1]}\n{section}\n".encode()
