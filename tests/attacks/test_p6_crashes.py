"""P6 under attack: processes killed at chosen and random instants; one answer a charge, nothing acknowledged lost."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.protocol.content import LetterContent
from datasites.requests.records import Status
from datasites.store.tables import rounds
from policies.errors import RefusedError
from tests.attacks.after_a_crash import assert_sound, restart
from tests.one_site import Scene, new_scene
from tests.site_folder import NOW, PASSPHRASE

REPOSITORY = Path(__file__).parents[2]

# A site's process: it tells how far it is, and then waits to be killed.
STEPS = """
import os, sys, time
from pathlib import Path
import numpy as np
from datasites.execution.answer_round import masked, store_answer
from datasites.execution.trainer_result import RoundResult
from datasites.execution.charge_round import charge_next_round
from datasites.protocol.person_key import load_person_key
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
    key = load_person_key(folder / "owner", sys.argv[4].encode())
    with site.engine.begin() as connection:
        approve(connection, site, sys.argv[5], key)
        reached("approving")
    reached("approved")
with site.engine.begin() as connection:
    assignment = charge_next_round(connection, site, now)
    reached("charging")
reached("charged")
result = RoundResult(np.array([20.0, 5.0]), iter((np.full(6, 0.5, np.float32),)), ("seccomp",))
with masked(site, assignment, result) as answer, site.engine.begin() as connection:
    store_answer(connection, site, assignment, answer, now)
    reached("answering")
reached("answered")
"""

# A site's process at full speed: every round asked, charged, answered, and acknowledged to a file.
ROUNDS = """
import os, sys
from pathlib import Path
import numpy as np
from datasites.execution.answer_round import answer_round
from datasites.execution.ask_round import ask_round
from policies.programs.digests import MODEL_DOMAIN
from datasites.execution.trainer_result import RoundResult
from datasites.execution.charge_round import charge_next_round
from datasites.protocol.messages import RoundStart
from datasites.site import open_site
from datasites.store.home import Home
from tests.witness_answers import confirm
from tests.one_study import RUN, STUDY, model, reference
folder, now, researcher = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
site = open_site(Home(folder / "home"), lambda: now)
acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in range(1, 401):
    message = RoundStart(study=STUDY, run=RUN, round=number, model=reference())
    with site.contents.saved((model(),), MODEL_DOMAIN, 24) as file, site.engine.begin() as connection:
        ask_round(connection, site, researcher, message, file, now)
    confirm(site, now)
    with site.engine.begin() as connection:
        assignment = charge_next_round(connection, site, now)
    answer_round(site, assignment, RoundResult(None, iter((np.full(6, number / 1000, np.float32),)), ("seccomp",)))
    confirm(site, now)
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
    scene.send_all()
    for _ in range(3):
        assert not scene.ask(request, 1)
        assert scene.charge() is None
    assert scene.updates() == [first]
    assert isinstance(first.update, LetterContent)
    assert len(first.update.plain()) == 4 * (6 + 2)
    assert scene.count("charges") == 2
    assert scene.audit().broken == []


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
