"""P6 in real processes: each party killed with SIGKILL at named points, started again, and the study goes on by itself.

One study of many rounds serves all kills: a round a kill. The last test adds up what all of it left behind.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.system.after_kills import assert_sound
from tests.system.kill_points import Shot
from tests.system.kill_scene import RELAY, RESEARCHER, KillScene, begin_study, killable_federation, while_killed
from tests.system.waiting import wait_until_gone

ANNA, BERN, CORK = "anna-hospital", "bern-hospital", "cork-hospital"

UNCHARGED = [
    (ANNA, "before:asked"),
    (CORK, "before:charged"),
    (BERN, "middle:get"),
    (ANNA, "after:answered"),
    (CORK, "middle:put"),
    (BERN, "before:released"),
    (CORK, "after:released"),
]
"""At a datasite where no charge stands without its answer: nothing is computed again."""

EITHER = [
    (ANNA, "before:sent"),
    (CORK, "after:witness-kept"),
]
"""At a datasite whose other thread may or may not be between charge and answer."""

BURNED = [
    (ANNA, "after:charged"),
    (BERN, "before:rename"),
    (CORK, "before:answered"),
]
"""At a datasite between charge and stored answer: the charge is burned, and a retry charged."""

TRAINERS = [(ANNA, "after:load"), (BERN, "before:step"), (CORK, "after:block")]
"""The trainer, once it has data, in a step, and while it writes its result: as above."""

RELAYS = [
    (RELAY, "before:deposit"),
    (RELAY, "after:commit"),
    (RELAY, "after:upload"),
    (RELAY, "after:download"),
]

RESEARCHERS = [
    (RESEARCHER, "middle:put"),
    (RESEARCHER, "after:send"),
    (RESEARCHER, "after:answer"),
    (RESEARCHER, "after:model-file"),
    (RESEARCHER, "after:finish"),
]

SUMS = sum(map(len, (UNCHARGED, EITHER, BURNED, TRAINERS, RELAYS, RESEARCHERS))) + 2


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillScene]:
    """The study after its first round; sites were killed while they received it, checked it and set it up."""
    with killable_federation(tmp_path_factory.mktemp("killed")) as live:
        receiving = {ANNA: "before:received", BERN: "after:admitted"}
        begun = while_killed(live, receiving, lambda: begin_study(live, rounds=SUMS - 1, retries=4))
        begun.let(1)
        while_killed(live, {CORK: "after:set-up", ANNA: "before:roster"}, lambda: begun.wait_for(1))
        yield begun
        begun.end_researcher()


def test_sites_killed_while_they_receive_check_and_set_up_a_study_hold_it_once(scene: KillScene) -> None:
    for site in scene.live.sites.values():
        (row,) = site.rows("SELECT status FROM requests")
        assert row["status"] == "running"
        assert len(site.rows("SELECT 1 FROM runs")) == 1


@pytest.mark.parametrize(("site", "point"), UNCHARGED)
def test_a_site_killed_where_no_charge_is_open_computes_nothing_twice(scene: KillScene, site: str, point: str) -> None:
    before = _again(scene, site)
    scene.kill_once(site, Shot(point))
    assert _again(scene, site) == before


@pytest.mark.parametrize(("site", "point"), EITHER)
def test_a_site_killed_while_another_thread_works_computes_once_more_at_most(
    scene: KillScene, site: str, point: str
) -> None:
    before = _again(scene, site)
    scene.kill_once(site, Shot(point))
    assert _again(scene, site) in (before, before + 1)


@pytest.mark.parametrize(("site", "point"), BURNED)
def test_a_site_killed_between_charge_and_answer_charges_a_retry(scene: KillScene, site: str, point: str) -> None:
    before = _again(scene, site)
    scene.kill_once(site, Shot(point))
    assert _again(scene, site) == before + 1


@pytest.mark.parametrize(("site", "point"), TRAINERS)
def test_a_trainer_killed_in_a_round_is_started_again_under_a_retry(scene: KillScene, site: str, point: str) -> None:
    before, trainer = _again(scene, site), scene.live.sites[site].trainer()
    if point == "after:load":  # which only a fresh trainer is given; that the idle one dies costs no charge
        os.kill(trainer, signal.SIGKILL)
        wait_until_gone(trainer)
    scene.kill_once(site, Shot(point, victim="trainer"))
    assert _again(scene, site) == before + 1
    assert scene.live.sites[site].trainer() != trainer


@pytest.mark.parametrize(("party", "point"), RELAYS)
def test_a_killed_relay_loses_nothing_that_it_took(scene: KillScene, party: str, point: str) -> None:
    scene.kill_once(party, Shot(point))


@pytest.mark.parametrize(("party", "point"), RESEARCHERS)
def test_a_killed_researcher_continues_from_the_state_file(scene: KillScene, party: str, point: str) -> None:
    scene.kill_once(party, Shot(point))


def test_after_all_kills_there_is_one_answer_a_charge_and_every_sum_is_exact(scene: KillScene) -> None:
    scene.let(SUMS)
    scene.wait_for(SUMS)
    assert scene.running(RESEARCHER).wait(60) == 0
    assert assert_sound(scene) == sum(_again(scene, site) for site in scene.live.sites)


def _again(scene: KillScene, site: str) -> int:
    query = "SELECT sum(attempt - 1) AS n FROM rounds JOIN requests ON request = digest WHERE study = ?"
    (row,) = scene.live.sites[site].rows(query, scene.study.identifier)
    return int(row["n"])
