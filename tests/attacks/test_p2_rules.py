"""P2 under attack through the house rules: nothing is approved by rules that were not adopted, or beyond them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datasites.catalog.registration import register_data_set
from datasites.requests.close import close_request
from datasites.requests.decide import deny
from datasites.requests.records import Request, Status
from policies.errors import RefusedError
from policies.programs.digests import parameters_digest
from policies.programs.format import parse_program
from tests.attacks.ruled_site import SMALL, admitted, asked, automatic, by_rules, new_ruled_scene
from tests.databases import DATABASES
from tests.one_site import Scene, new_scene
from tests.one_study import METRICS, OTHER_INITIAL, OTHER_LOSS, OTHER_STUDY, STUDY, program
from tests.site_folder import LIFETIME_EPSILON, NOW, write_manifest, write_table

THIRD = "3" * 32
QUARTER_ENDS = 1_901_577_600  # 2030-04-05, some weeks after NOW; the quarter of NOW is 2030 Q1


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    """A site whose rules approve two studies a quarter by themselves."""
    return new_ruled_scene(tmp_path, database)


def assert_waits(scene: Scene, request: Request) -> None:
    assert (request.status, request.ground) == (Status.PENDING, None)
    assert scene.count("reservations") == len(by_rules(scene)) + 1
    assert scene.audit().broken == []


def test_a_study_like_one_that_a_person_approved_is_approved_and_runs(scene: Scene) -> None:
    first = scene.approved(**SMALL)
    shorter = {"training": {**SMALL["training"], "rounds": 2, "learning_rate": 0.2}}
    request = asked(scene, title="Faster", **shorter, evaluation={**SMALL["evaluation"], "models": [0]})
    assert request.status is Status.APPROVED
    assert request.decision is None
    assert request.ground is not None
    assert request.ground.approval.precedent == first.digest
    scene.set_up(request)
    scene.compute(request, 1)
    assert scene.audit().broken == []
    assert any("rules approved alone: 1;" in it for it in scene.audit().proved)


def test_without_the_section_every_study_waits_for_a_person(tmp_path: Path) -> None:
    scene = new_scene(tmp_path)
    scene.approved(**SMALL)
    assert_waits(scene, asked(scene))


OTHER_NODE = program("loss", {"op": "binary_cross_entropy_with_logits", "args": [4, 5], "kwargs": {"reduction": "sum"}})
LOOSER: dict[str, dict[str, Any]] = {
    "a larger ε": {"privacy": {"epsilon": 5.5}},
    "more rounds": {"training": {"noise_multiplier": 80.0, "rounds": 4}},
    "more steps": {"training": {"noise_multiplier": 80.0, "local_steps": 3}},
    "less noise": {"training": {"noise_multiplier": 39.0}},
    "less noise on the metrics": {"evaluation": {"noise_multiplier": 39.0}},
    "retries": {"training": {"noise_multiplier": 80.0, "retries": 1}},
    "another purpose": {"purpose": "Something else"},
    "other recipients": {"recipients": "Everybody"},
    "a later end": {"expires_at": NOW + 86_401},
    "a slower round": {"deadlines": {"round_seconds": 61}},
}


@pytest.mark.parametrize("change", LOOSER)
def test_a_study_that_is_looser_waits_for_a_person(scene: Scene, change: str) -> None:
    scene.approved(**SMALL)
    assert_waits(scene, asked(scene, **LOOSER[change]))


@pytest.mark.parametrize("loss", [OTHER_LOSS, OTHER_NODE])
def test_a_program_that_differs_in_one_node_waits_for_a_person(scene: Scene, loss: str) -> None:
    scene.approved(**SMALL)
    terms = scene.terms(OTHER_STUDY, **SMALL, programs={"loss": parse_program(loss.encode()).digest()})
    request = scene.receive(terms, loss_program=loss, metrics_program=METRICS)
    assert_waits(scene, admitted(scene, request))


def test_other_numbers_in_the_same_program_wait_for_a_person(scene: Scene) -> None:
    """What is fixed in a program comes with the parameters: a person saw the first ones."""
    scene.approved(**SMALL)
    terms = scene.terms(OTHER_STUDY, **SMALL, programs={"initial_parameters": parameters_digest(OTHER_INITIAL)})
    assert_waits(scene, admitted(scene, scene.receive(terms, parameters=OTHER_INITIAL)))


def test_the_same_program_on_another_data_set_waits_for_a_person(scene: Scene, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "b.toml", "clinic-b")
    register_data_set(scene.site, manifest, write_table(tmp_path / "b.csv", first=500), LIFETIME_EPSILON)
    scene.approved(**SMALL)
    cohort = [{**it.model_dump(), "data_set": "clinic-b"} for it in scene.terms().cohort]
    assert_waits(scene, asked(scene, cohort=cohort))


def test_the_same_program_of_another_researcher_waits_for_a_person(scene: Scene) -> None:
    """A person let one researcher have it, for that purpose."""
    scene.approved(**SMALL)
    eve = scene.other_researcher.card
    terms = scene.terms(OTHER_STUDY, **SMALL, researcher=eve.party)
    assert_waits(scene, admitted(scene, scene.receive(terms, eve)))


def test_what_the_rules_approved_is_no_precedent(scene: Scene) -> None:
    first = scene.approved(**SMALL)
    second = asked(scene)
    with scene.site.engine.begin() as connection:
        close_request(connection, first.digest, Status.CLOSED, "Done with.", scene.now)
    assert second.status is Status.APPROVED
    assert asked(scene, THIRD).status is Status.PENDING
    assert scene.audit().broken == []


@pytest.mark.parametrize("status", [Status.CLOSED, Status.FAILED, Status.EXPIRED])
def test_what_ended_before_its_time_is_no_precedent(scene: Scene, status: Status) -> None:
    first = scene.approved(**SMALL)
    with scene.site.engine.begin() as connection:
        close_request(connection, first.digest, status, "Over.", scene.now)
    assert_waits(scene, asked(scene))


def test_what_a_person_denied_is_no_precedent_whatever_its_row_says(scene: Scene) -> None:
    first = scene.submit(**SMALL)
    with scene.site.engine.begin() as connection:
        deny(connection, scene.site, first.number, "No.", scene.owner_key)
    scene.tamper("UPDATE requests SET status = 'approved'")
    assert asked(scene).status is Status.PENDING
    assert by_rules(scene) == []


def test_no_more_studies_than_the_rules_allow_in_a_quarter(scene: Scene) -> None:
    scene.approved(**SMALL, expires_at=QUARTER_ENDS + 86_400)
    until = {"expires_at": QUARTER_ENDS + 86_400}
    assert [asked(scene, f"{n:032x}", **until).status for n in (5, 6, 7)] == [
        Status.APPROVED,
        Status.APPROVED,
        Status.PENDING,
    ]
    scene.clock.seconds = QUARTER_ENDS
    assert asked(scene, THIRD, **until).status is Status.APPROVED
    assert scene.audit().broken == []


@pytest.mark.parametrize("kind", DATABASES)
def test_studies_at_the_same_moment_are_not_more_than_the_rules_allow(tmp_path: Path, kind: str) -> None:
    scene = new_ruled_scene(tmp_path, kind)
    scene.approved(**SMALL)
    waiting = [scene.receive(scene.terms(f"{number:032x}", **SMALL)) for number in range(4, 10)]
    with ThreadPoolExecutor(len(waiting)) as pool:
        found = list(pool.map(lambda it: admitted(scene, it), waiting))
    assert [it.status for it in found].count(Status.APPROVED) == 2
    assert len(by_rules(scene)) == 2
    assert scene.audit().broken == []


def test_a_clock_that_is_set_back_gives_no_earlier_quarter_back(scene: Scene) -> None:
    until = {"expires_at": QUARTER_ENDS + 86_400}
    scene.approved(**SMALL, **until)
    scene.clock.seconds = QUARTER_ENDS
    assert [asked(scene, f"{n:032x}", **until).status for n in (5, 6)] == [Status.APPROVED] * 2
    scene.clock.seconds = NOW
    assert asked(scene, THIRD, **until).status is Status.PENDING
    assert scene.audit().broken == []


def test_the_caps_hold_for_the_rules_too(scene: Scene) -> None:
    automatic(scene, more="maximum_epsilon_per_quarter = 0.3\n")
    first = scene.approved(**SMALL)
    assert asked(scene).status is Status.PENDING
    with pytest.raises(RefusedError, match="in this quarter"):
        scene.approve(scene.request(scene.terms(OTHER_STUDY, **SMALL).digest()))
    assert first.status is Status.APPROVED


def test_one_researcher_has_no_more_than_the_cap_and_another_has_it_too(scene: Scene) -> None:
    automatic(scene, more="maximum_epsilon_per_researcher = 0.3\n")
    scene.approved(**SMALL)
    with pytest.raises(RefusedError, match="for this researcher, ever"):
        scene.approve(asked(scene))
    terms = scene.terms(THIRD, **SMALL, researcher=scene.other_researcher.party)
    scene.approve(admitted(scene, scene.receive(terms, scene.other_researcher.card)))
    assert scene.audit().broken == []


def test_later_rules_do_not_end_what_was_approved(scene: Scene) -> None:
    scene.approved(**SMALL)
    request = asked(scene)
    automatic(scene, number=1, epsilon=1.0)
    scene.set_up(request)
    scene.compute(request, 1)
    assert scene.audit().broken == []


def test_nothing_is_approved_after_the_time_to_decide_whatever_the_clock_says(scene: Scene) -> None:
    scene.rule("decide_within_days = 90", "decide_within_days = 1")
    request = scene.submit(STUDY, **SMALL, expires_at=NOW + 5 * 86_400)
    scene.clock.seconds += 86_400
    scene.receive(scene.terms(OTHER_STUDY, **SMALL, expires_at=NOW + 5 * 86_400))  # the log names the new day
    scene.clock.seconds = NOW
    with pytest.raises(RefusedError, match="nobody decided on it"):
        scene.approve(request)
    assert scene.count("reservations") == 0
