"""P3 through the use cases: researchers who race, promise too little, look at each other, or rename the patients."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from datasites.catalog.registration import register_data_set
from datasites.protocol.messages import CatalogReply
from datasites.requests.catalog import answer_catalog
from datasites.requests.finish_check import admit
from datasites.requests.records import Request, Status
from policies.errors import CloisterError, RefusedError
from tests.declared_units import UNITS
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY, STUDY, make_terms
from tests.site_folder import LIFETIME_EPSILON, NOW, PASSPHRASE, write_manifest, write_table

REPOSITORY = Path(__file__).parents[2]
LARGE: dict[str, Any] = {"training": {"noise_multiplier": 1.8}, "privacy": {"epsilon": 9.0}}
PROCESS = """
import sys
from pathlib import Path
from datasites.execution.charge_round import charge_next_round
from datasites.protocol.person_key import load_person_key
from datasites.requests.decide import approve
from datasites.site import open_site
from datasites.store.home import Home
from policies.errors import CloisterError
folder, what, now, passphrase = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
site, key = open_site(Home(folder / "home"), lambda: now), load_person_key(folder / "owner", passphrase)
print("ready", flush=True)
sys.stdin.readline()
try:
    with site.engine.begin() as connection:
        done = charge_next_round(connection, site, now) if what == "charge" else approve(connection, site, what, key)
    print("nothing" if done is None else "done", flush=True)
except CloisterError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def race(folder: Path, *tasks: str) -> list[str]:
    """Start one process a task, let them go at once, and give their answers in order."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(folder), task, str(NOW), PASSPHRASE.decode()],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for task in tasks
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [racer.communicate(timeout=60)[0].strip() for racer in racers]


def submitted_by_eve(scene: Scene, **changes: Any) -> Request:
    eve = scene.other_researcher
    parties = [scene.site.identity.party, *(it.party for it in scene.partners)]
    request = scene.receive(make_terms(STUDY, eve.party, parties, NOW + 86_400, changes), sender=eve.card)
    with scene.site.engine.begin() as connection:
        admit(connection, scene.site, request)
    return scene.request(request.digest)


def test_two_researchers_racing_for_the_last_of_a_budget_do_not_both_get_it(scene: Scene, tmp_path: Path) -> None:
    """Each study fits on its own and not beside the other; two processes approve them at the same instant."""
    ada, eve = scene.submit(**LARGE), submitted_by_eve(scene, **LARGE)
    before = scene.balance().training
    answers = race(tmp_path, scene.shown_digest(ada), scene.shown_digest(eve))
    assert sorted(answers) == ["RefusedError", "done"]
    after = scene.balance().training
    assert before.remaining_units // 2 < after.reserved_units <= before.remaining_units
    assert scene.count("reservations") == 1
    assert scene.audit().broken == []


def test_two_workers_that_find_the_same_round_charge_it_once(scene: Scene, tmp_path: Path) -> None:
    """Two children would compute it and two answers could be compared."""
    request = scene.ready()
    scene.ask(request, 1)
    assert sorted(race(tmp_path, "charge", "charge", "charge")) == ["done", "nothing", "nothing"]
    assert scene.count("charges") == 2  # training and evaluation, once each
    assert scene.audit().broken == []


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy": {"epsilon": 0.5}},
        {"training": {"noise_multiplier": 2.0}},
        {"training": {"local_steps": 2000}},
        {"training": {"retries": 100}},
        {"evaluation": {"noise_multiplier": 0.3}},
    ],
)
def test_terms_that_promise_less_than_their_noise_gives_are_refused(scene: Scene, changes: dict[str, Any]) -> None:
    """The owner reads the promised ε; steps, noise, retries and measurements say what it really is."""
    with pytest.raises(RefusedError, match="The terms promise"):
        scene.receive(scene.terms(**changes))
    assert scene.count("requests") == 0


def test_eve_cannot_tell_from_her_catalog_what_ada_has_spent(scene: Scene) -> None:
    """What others spend tells who studies which patients, and when."""
    before = offered(scene)
    request = scene.ready(**LARGE)
    for number in (1, 2):
        scene.compute(request, number)
    assert scene.balance().training.remaining_share < 0.9
    assert offered(scene) == before


def test_the_same_patients_under_another_name_have_no_second_budget(scene: Scene, tmp_path: Path) -> None:
    """Half of them among strangers: what one study spent on clinic-a is missing for a study on clinic-b."""
    manifest = write_manifest(tmp_path / "b.toml", "clinic-b")
    register_data_set(scene.site, manifest, write_table(tmp_path / "b.csv", first=50), LIFETIME_EPSILON)
    scene.approved(**LARGE)
    parties = [scene.site.identity.party, *(it.party for it in scene.partners)]
    cohort = [{"site": party, "data_set": "clinic-b", "weight": 1, **UNITS} for party in parties]
    again = scene.submit(OTHER_STUDY, cohort=cohort, **LARGE)
    with pytest.raises(RefusedError, match="does not fit the privacy budget"):
        scene.approve(again)
    assert scene.count("populations") == 1


def test_a_study_that_was_refused_for_want_of_budget_leaves_none_of_it_reserved(scene: Scene) -> None:
    """Half of an approval would be a way to use up a budget without spending it."""
    scene.approved(**LARGE)
    again = scene.submit(OTHER_STUDY, **LARGE)
    held = scene.balance()
    with pytest.raises(CloisterError):
        scene.approve(again)
    assert scene.balance() == held
    assert scene.request(again.digest).status is Status.PENDING


def offered(scene: Scene) -> list[object]:
    """What Eve's catalog says of every data set's allowance."""
    with ExitStack() as files, scene.site.engine.begin() as connection:
        answer_catalog(connection, scene.site, scene.other_researcher.card, files, scene.now)
    reply = scene.letters(CatalogReply)[-1]
    assert isinstance(reply, CatalogReply)
    return [(it.name, it.manifest, it.allowance) for it in reply.data_sets]
