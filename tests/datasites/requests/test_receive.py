"""A study is taken in once, as it was signed for, or refused with nothing changed."""

from typing import Any

import pytest

from datasites.protocol.identity import Identity
from datasites.requests.receive import may_submit
from datasites.requests.records import Status
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.programs.digests import parameters_digest
from policies.programs.format import parse_program
from policies.terms import Terms
from tests.declared_units import UNITS
from tests.one_site import Scene
from tests.one_study import LOSS, METRICS, OTHER_INITIAL, OTHER_LOSS, OTHER_STUDY
from tests.site_folder import NOW


def digest_of(program: str) -> str:
    return parse_program(program.encode()).digest()


def assert_refused(scene: Scene, expected: type[CloisterError], terms: Terms, match: str = "", **changes: Any) -> None:
    entries = scene.count("log_entries")
    with pytest.raises(expected, match=match):
        scene.receive(terms, **changes)
    assert scene.count("requests") == 0
    assert scene.count("outbox") == 0
    assert scene.count("log_entries") == entries


def test_a_study_is_frozen_as_it_came(scene: Scene) -> None:
    request = scene.receive(scene.terms())
    assert request.status is Status.RECEIVED
    assert (request.loss_program, request.metrics_program) == (LOSS, METRICS)
    assert request.digest == scene.terms().digest()
    assert [it.status for it in scene.letters()] == ["received"]
    assert scene.audit().broken == []


def test_the_same_study_again_is_only_told_where_it_stands(scene: Scene) -> None:
    request = scene.approved()
    entries = scene.count("log_entries")
    again = scene.receive(request.terms)
    assert again == request
    assert scene.count("requests") == 1
    assert scene.count("log_entries") == entries
    told = scene.letters()[-1]
    assert (told.status, told.decision) == ("approved", request.decision)


def test_requests_are_numbered_in_order(scene: Scene) -> None:
    assert [scene.receive(scene.terms(study * 32)).number for study in "5319"] == [1, 2, 3, 4]


def test_one_name_is_one_study(scene: Scene) -> None:
    scene.receive(scene.terms())
    with pytest.raises(ConflictError):
        scene.receive(scene.terms(title="Sepsis, with other terms"))
    assert scene.count("requests") == 1


def test_another_researchers_terms_are_refused(scene: Scene) -> None:
    assert_refused(scene, NotAuthenticError, scene.terms(), sender=scene.other_researcher.card)


def test_another_researcher_does_not_learn_where_a_study_stands(scene: Scene) -> None:
    request = scene.approved()
    letters = scene.count("outbox")
    with pytest.raises(NotAuthenticError):
        scene.receive(request.terms, sender=scene.other_researcher.card)
    assert scene.count("outbox") == letters


def may(scene: Scene, sender: Identity) -> None:
    with scene.site.engine.begin() as connection:
        may_submit(connection, sender.card)


@pytest.mark.both_databases
def test_a_site_cannot_submit(scene: Scene) -> None:
    may(scene, scene.researcher)
    with pytest.raises(RefusedError, match="researchers"):
        may(scene, scene.partners[0])


def test_nobody_fills_the_site_with_requests_that_wait(scene: Scene) -> None:
    first = scene.submit(f"{0:032x}")
    for number in range(1, 20):
        may(scene, scene.researcher)
        scene.receive(scene.terms(f"{number:032x}"))
    with pytest.raises(RefusedError, match="wait for a decision"):
        may(scene, scene.researcher)
    may(scene, scene.other_researcher)
    scene.approve(first)
    may(scene, scene.researcher)


def test_two_researchers_may_call_their_studies_the_same(scene: Scene) -> None:
    eve = scene.other_researcher
    ours = scene.receive(scene.terms())
    theirs = scene.receive(scene.terms(researcher=eve.party), sender=eve.card)
    assert (ours.terms.study, ours.sender) == (theirs.terms.study, scene.researcher.party)
    assert [ours.number, theirs.number] == [1, 2]


def test_terms_must_be_canonical_and_complete(scene: Scene) -> None:
    good = scene.terms().canonical().decode()
    for text in (good + " ", good.replace('"title":"Sepsis",', ""), good[:-1], "{}", "null"):
        with pytest.raises(InvalidInputError):
            scene.receive(scene.terms(), terms_text=text)
    assert scene.count("requests") == 0


def test_the_message_names_the_study_of_its_terms(scene: Scene) -> None:
    assert_refused(scene, InvalidInputError, scene.terms(), study=OTHER_STUDY)


@pytest.mark.parametrize("expires_at", [0, NOW - 1, NOW])
def test_an_expired_study_is_refused(scene: Scene, expires_at: int) -> None:
    assert_refused(scene, RefusedError, scene.terms(expires_at=expires_at), "expired")


def test_a_cohort_without_this_site_is_refused(scene: Scene) -> None:
    cohort = [{"site": letter * 64, "data_set": "clinic-a", "weight": 1, **UNITS} for letter in "abc"]
    assert_refused(scene, RefusedError, scene.terms(cohort=cohort), "cohort")


def test_an_unknown_data_set_is_refused(scene: Scene) -> None:
    terms = scene.terms()
    cohort = [{**member.model_dump(), "data_set": "clinic-z"} for member in terms.cohort]
    assert_refused(scene, InvalidInputError, scene.terms(cohort=cohort), "clinic-z")


@pytest.mark.both_databases
def test_a_delta_above_the_data_sets_is_refused(scene: Scene) -> None:
    scene.tamper("UPDATE populations SET delta = 1e-7")
    assert_refused(scene, RefusedError, scene.terms(), "δ")


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"noise_multiplier": 0.3}},
        {"training": {"local_steps": 500, "retries": 0}},
        {"evaluation": {"noise_multiplier": 0.5}},
    ],
)
def test_numbers_that_break_their_own_promise_are_refused(scene: Scene, changes: dict[str, Any]) -> None:
    assert_refused(scene, RefusedError, scene.terms(**changes), "promise")


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_program": OTHER_LOSS},
        {"metrics_program": LOSS},
        {"source": "class Other: ...\n"},
        {"parameters": OTHER_INITIAL},
    ],
)
def test_what_is_not_covered_by_the_terms_is_refused(scene: Scene, changes: dict[str, Any]) -> None:
    assert_refused(scene, NotAuthenticError, scene.terms(), "digest", **changes)


def test_an_operation_off_the_list_is_refused(scene: Scene) -> None:
    program = LOSS.replace("binary_cross_entropy_with_logits", "from_file")
    assert_refused(
        scene, InvalidInputError, scene.terms(programs={"loss": digest_of(program)}), "Node 3", loss_program=program
    )


def test_the_wrong_number_of_parameters_is_refused(scene: Scene) -> None:
    assert_refused(scene, InvalidInputError, scene.terms(programs={"parameter_count": 7}), "number of parameters")


def test_other_metrics_than_the_programs_are_refused(scene: Scene) -> None:
    assert_refused(scene, InvalidInputError, scene.terms(evaluation={"metrics": ["accuracy"]}), "metrics")
    histogram = {"name": "sepsis", "bins": 10}
    assert_refused(scene, InvalidInputError, scene.terms(evaluation={"histograms": [histogram]}), "metrics")


OTHER_COLUMNS = [('"shape":[6]', '"shape":[7]'), ('"dtype":"int64"', '"dtype":"float32"')]


@pytest.mark.parametrize(("old", "new"), OTHER_COLUMNS)
@pytest.mark.parametrize("which", [("loss",), ("metrics",), ("loss", "metrics")])
def test_programs_for_other_columns_are_refused(scene: Scene, old: str, new: str, which: tuple[str, ...]) -> None:
    programs = {name: {"loss": LOSS, "metrics": METRICS}[name].replace(old, new) for name in which}
    terms = scene.terms(programs={name: digest_of(program) for name, program in programs.items()})
    changes = {f"{name}_program": program for name, program in programs.items()}
    assert_refused(scene, InvalidInputError, terms, "the (features|target) as" if len(which) == 2 else "", **changes)


def test_other_parameters_under_their_own_digest_are_taken(scene: Scene) -> None:
    terms = scene.terms(programs={"initial_parameters": parameters_digest(OTHER_INITIAL)})
    request = scene.receive(terms, parameters=OTHER_INITIAL)
    assert request.parameters_file is not None
    assert b"".join(scene.site.contents.read(request.parameters_file)) == OTHER_INITIAL
