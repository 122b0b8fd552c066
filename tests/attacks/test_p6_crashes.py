"""P6 under attack: processes killed at chosen and random instants; one answer a charge, nothing acknowledged lost."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.execution.rounds import burn_interrupted_rounds
from datasites.protocol.blobs import open_blob
from datasites.requests.records import Request, Status
from datasites.store.outbox import oldest
from datasites.store.tables import outbox, rounds
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, round_mechanisms
from policies.budget.tables import charges
from policies.errors import ConflictError, RefusedError
from tests.one_site import NOW, OTHER_STUDY, PASSPHRASE, Scene, new_scene

REPOSITORY = Path(__file__).parents[2]

# A site's process: it tells how far it is, and then waits to be killed.
STEPS = """
import os, sys, time
from pathlib import Path
import numpy as np
from datasites.execution.rounds import answer_round, charge_next_round
from datasites.protocol.owner_key import load_owner_key
from datasites.requests.decide import approve
from datasites.site import open_site
from datasites.store.home import Home
folder, until, now = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
site = open_site(Home(folder / "home"), lambda: now)

def reached(step):
    if step == until:
        os.write(1, b"reached\\n")
        time.sleep(600)

if until.startswith("approv"):
    key = load_owner_key(folder / "owner", sys.argv[4].encode())
    with site.engine.begin() as connection:
        approve(connection, site, sys.argv[5], key)
        reached("approving")
    reached("approved")
with site.engine.begin() as connection:
    assignment = charge_next_round(connection, site, now)
    reached("charging")
reached("charged")
with site.engine.begin() as connection:
    answer_round(connection, site, assignment, np.full(6, 0.5, np.float32), np.array([20.0, 5.0]), now)
    reached("answering")
reached("answered")
"""

# A site's process at full speed: every round asked, charged, answered, and acknowledged to a file.
ROUNDS = """
import os, sys
from pathlib import Path
import numpy as np
from datasites.execution.rounds import answer_round, ask_round, charge_next_round
from datasites.protocol.messages import RoundStart
from datasites.site import open_site
from datasites.store.home import Home
from tests.one_site import RUN, STUDY, model, reference
folder, now, researcher = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
site = open_site(Home(folder / "home"), lambda: now)
acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in range(1, 401):
    with site.engine.begin() as connection:
        message = RoundStart(study=STUDY, run=RUN, round=number, model=reference())
        ask_round(connection, site, researcher, message, model(), now)
    with site.engine.begin() as connection:
        assignment = charge_next_round(connection, site, now)
    with site.engine.begin() as connection:
        answer_round(connection, site, assignment, np.full(6, number / 1000, np.float32), None, now)
    os.write(acknowledged, b"%d\\n" % number)
    os.fsync(acknowledged)
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def killed_at(scene: Scene, folder: Path, step: str, *arguments: str) -> None:
    """Let a process of this site come to `step`, and kill it there."""
    scene.site.engine.dispose()
    victim = subprocess.Popen(
        [sys.executable, "-c", STEPS, str(folder), step, str(NOW), *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"reached\n"
    victim.kill()
    assert victim.wait(timeout=30) == -9
    victim.stdout.close()


def restart(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        burn_interrupted_rounds(connection, scene.now)


def assert_sound(scene: Scene, request: Request) -> set[int]:
    """Each answer has its own charges, its own letter and its own log entry; gives the rounds that were answered."""
    with scene.site.engine.begin() as connection:
        verify_chain(connection)
        states = {row.round: row.state for row in connection.execute(select(rounds))}
        charged = Counter(connection.execute(select(charges.c.step)).scalars())
    answered = {number for number, state in states.items() if state == "computed"}
    assert sorted(it.round for it in scene.updates()) == sorted(answered)
    assert len({it.round_context for it in scene.updates()}) == len(answered)
    spent = {number for number, state in states.items() if state in ("computed", "charged", "burned")}
    expected = {f"round {number}": len(round_mechanisms(request.terms, number)) for number in spent}
    assert charged == expected
    left = scene.balance()
    for partition in PARTITIONS:
        assert left.of(partition).remaining_units + left.of(partition).spent_units <= left.of(partition).allowance_units
    assert scene.audit().broken == []
    return answered


@pytest.mark.parametrize("step", ["approving", "approved"])
def test_killed_while_approving(scene: Scene, tmp_path: Path, step: str) -> None:
    request = scene.submit()
    digest = scene.shown_digest(request)
    killed_at(scene, tmp_path, step, PASSPHRASE.decode(), digest)
    done = step == "approved"
    assert scene.request(request.digest).status is (Status.APPROVED if done else Status.PENDING)
    assert scene.count("reservations") == int(done)
    assert scene.audit().broken == []
    if not done:
        scene.approve(request)
    scene.set_up(request)
    scene.compute(request, 1)
    assert assert_sound(scene, request) == {1}


def test_killed_in_the_middle_of_a_charge_nothing_is_spent_and_the_round_still_runs(
    scene: Scene, tmp_path: Path
) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    killed_at(scene, tmp_path, "charging")
    restart(scene)
    assert scene.count("charges") == 0
    assert scene.request(request.digest).status is Status.RUNNING
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    assert assert_sound(scene, request) == {1}


@pytest.mark.parametrize("step", ["charged", "answering"])
def test_killed_between_charge_and_answer_the_charge_is_burned(scene: Scene, tmp_path: Path, step: str) -> None:
    request = scene.ready()
    before = scene.balance().training.allowance_units
    scene.ask(request, 1)
    killed_at(scene, tmp_path, step)
    spent = scene.balance().training.spent_units
    assert spent > 0
    restart(scene)
    restart(scene)
    assert assert_sound(scene, request) == set()
    left = scene.balance().training
    assert (left.spent_units, left.reserved_units, left.remaining_units) == (spent, 0, before - spent)
    assert scene.request(request.digest).status is Status.FAILED
    assert scene.count("mask_keys") == 0
    assert [it.type for it in scene.letters()][-2:] == ["round-refused", "study-status"]
    with pytest.raises(RefusedError):
        scene.ask(request, 1)
    assert scene.charge() is None


def test_killed_after_the_answer_it_is_sent_again_byte_for_byte(scene: Scene, tmp_path: Path) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    killed_at(scene, tmp_path, "answered")
    restart(scene)
    (first,) = scene.updates()
    assert not scene.ask(request, 1)
    assert scene.charge() is None
    assert scene.updates() == [first, first]
    with scene.site.engine.begin() as connection:
        blobs = [it for it in connection.execute(select(outbox.c.blob)).scalars() if it is not None]
    assert len(blobs) == 2
    assert blobs[0] == blobs[1]
    assert len(open_blob(first.update, blobs[0], 1 << 20)) == 4 * (6 + 2)
    assert scene.count("charges") == 2
    assert scene.audit().broken == []


def test_a_worker_that_outlived_a_restart_cannot_answer_what_was_burned(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    restart(scene)
    with pytest.raises(ConflictError):
        scene.answer(assignment)
    assert assert_sound(scene, request) == set()


def test_two_answers_never_leave_for_one_charge(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    scene.answer(assignment)
    with pytest.raises(ConflictError):
        scene.answer(assignment, 0.75)
    assert assert_sound(scene, request) == {1}


def test_an_answer_that_fails_leaves_no_half_of_itself(scene: Scene) -> None:
    request = scene.ready()
    scene.ask(request, 1)
    assignment = scene.charge()
    assert assignment is not None
    with pytest.raises(RefusedError):
        scene.answer(assignment, float("nan"))
    assert scene.updates() == []
    assert scene.count("mask_keys") == request.terms.sums
    scene.answer(assignment)
    assert assert_sound(scene, request) == {1}


def test_burning_one_round_leaves_other_studies_alone(scene: Scene) -> None:
    first, second = scene.ready(), scene.ready(OTHER_STUDY)
    scene.ask(first, 1)
    assert scene.charge() is not None
    scene.ask(second, 1)
    restart(scene)
    assert scene.request(first.digest).status is Status.FAILED
    assignment = scene.charge()
    assert assignment is not None
    assert assignment.request.digest == second.digest
    scene.answer(assignment)
    assert scene.audit().broken == []


def test_a_letter_is_sent_until_it_is_known_to_be_sent(scene: Scene) -> None:
    """Reading the outbox changes nothing: a sender that dies before `sent` finds the same letter under its number."""
    scene.compute(scene.ready(), 1)
    with scene.site.engine.begin() as connection:
        first = oldest(connection, without=())
    scene.site.engine.dispose()
    with scene.site.engine.begin() as connection:
        again = oldest(connection, without=())
    assert first is not None
    assert first == again


@pytest.mark.parametrize("after", [3, 17, 29])
def test_killed_at_a_random_instant_nothing_acknowledged_is_lost(scene: Scene, tmp_path: Path, after: int) -> None:
    request = scene.ready(
        training={"rounds": 400, "noise_multiplier": 60.0}, evaluation={"models": []}, privacy={"epsilon": 9.0}
    )
    scene.site.engine.dispose()
    victim = subprocess.Popen(
        [sys.executable, "-c", ROUNDS, str(tmp_path), str(NOW), scene.researcher.party], cwd=REPOSITORY
    )
    acknowledged, deadline = tmp_path / "acknowledged", time.monotonic() + 60
    while not acknowledged.exists() or acknowledged.read_bytes().count(b"\n") < after:
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.0007 * after)
    victim.kill()
    assert victim.wait(timeout=30) == -9
    told = {int(line) for line in acknowledged.read_text().split()}
    restart(scene)
    answered = assert_sound(scene, request)
    assert told <= answered
    assert len(answered - told) <= 1
    with scene.site.engine.begin() as connection:
        states = Counter(connection.execute(select(rounds.c.state)).scalars())
    assert states["charged"] == 0
    assert states["burned"] + states["asked"] <= 1
    if states["burned"]:
        assert scene.request(request.digest).status is Status.FAILED
        assert scene.balance().training.reserved_units == 0
