"""Rounds of an approved study over two machines: charged once both are there, trained with one under torchrun."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.execution.charge_round import next_round
from datasites.execution.follower import follow
from datasites.execution.trainers import Trainers
from datasites.execution.worker import Worker
from datasites.protocol.private_files import write_private_file
from datasites.requests.records import Status, find_request
from policies.log.entries import RoundComputed
from policies.log.journal import entries
from tests.machines import Leader, listening, until
from tests.one_site import Scene

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def leader() -> Iterator[Leader]:
    with listening() as made:
        yield made


@pytest.fixture
def torchrun(leader: Leader, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another machine's torchrun, which starts the follower of rank 1."""
    write_private_file(tmp_path / "secret", leader.secret)
    host, port = leader.address
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    command += ["--max-restarts", "3", "--monitor-interval", "0.1", "-m", "datasites.execution.follower"]
    command += [f"{host}:{port}", str(tmp_path / "secret"), str(tmp_path / "follower")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        yield process
        process.send_signal(signal.SIGTERM)


def child_of(process: int) -> int:
    """The only process that it started."""
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


def spread(scene: Scene) -> None:
    scene.adopt(scene.site.home.house_rules_file.read_text() + "[data_sets.clinic-a]\nmachines = 2\n")


def test_a_round_waits_uncharged_until_all_machines_are_there(scene: Scene, leader: Leader) -> None:
    """And have prepared the study: one that joins and is gone again has cost nothing."""
    spread(scene)
    request = scene.ready()
    scene.ask(request, 1)
    trainers = Trainers(scene.site, leader.followers)
    worker = Worker(scene.site, trainers)
    scene.witness()
    assert not worker.work()
    link = leader.joined_by(1)
    with scene.site.engine.begin() as connection:
        assert trainers.can_gather(connection, request)
        assert not trainers.is_ready(connection, request)
    threading.Timer(0.5, link.cut).start()
    assert worker.work()
    assert leader.followers.missing(2)
    assert not worker.work()
    assert not worker._compute_round()
    assert scene.count("charges") == 0
    assert [it.round for it in scene.updates()] == []


def test_a_study_that_one_of_the_machines_cannot_train_ends_before_anything_is_charged(
    scene: Scene, leader: Leader, tmp_path: Path
) -> None:
    """Here for want of a place for its part of the data."""
    spread(scene)
    request = scene.ready()
    scene.ask(request, 1)
    worker = Worker(scene.site, Trainers(scene.site, leader.followers))
    scene.witness()
    threading.Thread(target=follow, args=(leader.joined_by(1), tmp_path / "nowhere"), daemon=True).start()
    assert worker.work()
    assert scene.count("charges") == 0
    with scene.site.engine.begin() as connection:
        ended = find_request(connection, request.digest)
        assert not next_round(connection, scene.site)
    assert ended is not None
    assert ended.status is Status.FAILED
    assert "Machine 1 of this site cannot train this study: No file without a name" in ended.detail
    assert str(tmp_path) not in ended.detail


def test_rounds_of_an_approved_study_train_on_a_machine_that_torchrun_starts_and_starts_again(
    scene: Scene, leader: Leader, torchrun: subprocess.Popen[bytes]
) -> None:
    spread(scene)
    request = scene.ready()
    worker = Worker(scene.site, Trainers(scene.site, leader.followers))

    def compute(number: int) -> None:
        until(lambda: not leader.followers.missing(2))
        scene.ask(request, number)
        while worker.work():
            scene.witness()

    try:
        compute(1)
        assert [it.round for it in scene.updates()] == [1]
        assert scene.count("charges") == 2  # the model and its measurement, as for any round
        with scene.site.engine.begin() as connection:
            (computed,) = [it for _, it in entries(connection) if isinstance(it, RoundComputed)]
        assert "seccomp" in computed.layers
        os.kill(child_of(torchrun.pid), signal.SIGKILL)
        until(lambda: not worker.trainers.is_running(request))
        compute(2)
        assert [it.round for it in scene.updates()] == [1, 2]
        assert scene.count("charges") == 3
        assert scene.audit().broken == []
    finally:
        worker.trainers.end_all_but(set())
