"""Summaries, outlook and the sentence on what changed: plain words, made of facts."""

import math
import re

import pytest

from policies.budget.balance import Balance, PartitionBalance
from policies.budget.costs import Cost, request_epsilon
from policies.programs.format import parse_program
from policies.review.differences import Snapshot, difference
from policies.review.job_summary import summarise_job
from policies.review.outlook import outlook
from policies.review.summary import summarise
from policies.review.words import right_of_hundred
from policies.terms import Terms
from tests.attacks.honest_job_log import JOB_TERMS
from tests.one_study import LOSS, METRICS, OTHER_LOSS, make_terms

SITES = ["11" * 32, "22" * 32, "33" * 32]
TERMS = make_terms("1" * 32, "aa" * 32, SITES, 1_000, {})
SOURCE = {"source.py": b"x = 1  # one\n"}


def changed(**changes: object) -> Terms:
    return make_terms("2" * 32, "aa" * 32, SITES, 2_000, changes)


def snapshot(terms: Terms = TERMS, loss: str = LOSS, source: bytes | None = None) -> Snapshot:
    programs = {"loss": parse_program(loss.encode()), "metrics": parse_program(METRICS.encode())}
    return Snapshot(terms, programs, SOURCE if source is None else {"source.py": source})


@pytest.mark.parametrize("text", [summarise(TERMS, "Ada", "Clinic A"), summarise_job(JOB_TERMS, "Ada", "by-hand")])
def test_a_summary_is_for_people_who_know_no_mathematics(text: str) -> None:
    assert not re.search(r"[σδεαΣ]|differential|sampling|epsilon|gradient|quanti|MiB", text)
    assert "Ada asks to" in text
    assert "Legal basis: Consent." in text
    assert 80 < len(text.split()) < 260
    assert "\n" not in text


def test_a_summary_names_the_scores_that_are_counted() -> None:
    evaluation = {"histograms": [{"name": "sepsis", "bins": 20}]}
    assert "(probability and the spread of its scores for «sepsis»)" in summarise(
        changed(evaluation=evaluation), "Ada", "Clinic A"
    )


def test_other_bins_are_a_change_of_the_terms() -> None:
    before, after = (changed(evaluation={"histograms": [{"name": "sepsis", "bins": bins}]}) for bins in (20, 40))
    (change,) = difference(1, snapshot(before), snapshot(after)).changes
    assert (change.part, change.place) == ("terms", "evaluation.histograms")
    assert '"bins":40' in change.sentence


def test_a_study_without_noise_is_not_summed_up_as_a_protected_one() -> None:
    none = {"noise_multiplier": 0.0}
    text = summarise(changed(privacy=None, training=none, evaluation=none), "Ada", "Clinic A")
    assert "NO NOISE IS ADDED" in text
    assert "not protected either" in text
    assert "noise is added before" not in text


@pytest.mark.parametrize(("epsilon", "expected"), [(0.0, 50.0), (1.0, 73.2), (3.0, 95.3), (100.0, 100.0)])
def test_what_privacy_loss_means_in_guesses(epsilon: float, expected: float) -> None:
    assert right_of_hundred(epsilon, 0.0) == expected
    assert right_of_hundred(epsilon, 1e-6) >= 100 * (math.exp(epsilon) + 1e-6) / (math.exp(epsilon) + 1) - 1e-9


def test_the_outlook_says_what_remains_and_how_many_more_would_fit() -> None:
    part = PartitionBalance(allowance_units=100, spent_units=10, reserved_units=10)
    found = outlook(TERMS, SITES[0], Cost(20, 5), Balance(part, part))
    assert (found.takes, found.remains) == (
        {"training": 0.2, "evaluation": 0.05},
        {"training": 0.6, "evaluation": 0.75},
    )
    assert (found.more_like_this, found.fits) == (3, True)
    assert found.epsilon_if_all_others_collude == found.epsilon_under_honest_threshold == request_epsilon(TERMS)
    assert "3 more like this would fit" in found.sentences()[0]
    assert "2 honest sites" in found.sentences()[1]


def test_the_outlook_of_what_does_not_fit_promises_nothing() -> None:
    part = PartitionBalance(allowance_units=100, spent_units=90, reserved_units=0)
    found = outlook(TERMS, SITES[0], Cost(20, 0), Balance(part, part))
    assert (found.more_like_this, found.fits) == (0, False)
    assert "more than there is left" in found.sentences()[0]


def test_nothing_changed_but_names_dates_and_comments() -> None:
    found = difference(7, snapshot(), snapshot(changed(title="Sepsis again"), source=b'"""One."""\nx = 1\n'))
    assert found.sentence.startswith("Nothing that runs changed since request 7")
    assert {it.part for it in found.changes} == {"label", "documentation"}


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (snapshot(changed(training={"rounds": 4})), "training.rounds was «3» and is «4»."),
        (snapshot(changed(purpose="Care")), "purpose was «Early warning» and is «Care»."),
        (snapshot(changed(legal_basis="Law")), "legal_basis was «Consent.» and is «Law»."),
        (snapshot(changed(), source=b"x = 2\n"), "In source.py, line 1: «1» became «2»."),
        (snapshot(changed(), loss=OTHER_LOSS), "The loss program: Node 3 was"),
        (
            snapshot(changed(), loss=OTHER_LOSS, source=b"x = 2\n"),
            "«1» became «2». The programs, which are what runs, ",
        ),
    ],
)
def test_the_one_thing_that_changed_is_named(after: Snapshot, says: str) -> None:
    sentence = difference(1, snapshot(), after).sentence
    assert sentence.startswith("One thing changed since request 1")
    assert says in sentence


def test_several_things_are_counted() -> None:
    found = difference(1, snapshot(), snapshot(changed(purpose="Care", onward_use="Any"), source=b"y = 2\n"))
    assert found.sentence.startswith("4 things changed")


def test_another_weight_in_the_cohort_names_its_site() -> None:
    cohort = [member.model_dump() for member in TERMS.cohort]
    cohort[1]["weight"] = 2
    (change,) = (it for it in difference(1, snapshot(), snapshot(changed(cohort=cohort))).changes if it.part == "terms")
    assert change.place == f"cohort.{SITES[1]}.weight"


def test_files_that_are_not_kept_are_compared_by_their_digests() -> None:
    other = JOB_TERMS.code[0].model_copy(update={"digest": "15" * 32})
    after = Snapshot(JOB_TERMS.model_copy(update={"code": (other,), "name": "Other"}), {}, {"analysis.py": b""})
    found = difference(1, Snapshot(JOB_TERMS, {}, None), after)
    assert "The file analysis.py is another one" in found.sentence
