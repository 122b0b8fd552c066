"""P3 under concurrency and crashes: real processes race for a budget, and one is killed while it charges."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import OperationalError

from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import Cost
from policies.budget.ledger import charge, reserve
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges
from policies.errors import RefusedError
from tests.attacks.budget_ledger import PEOPLE, assert_promise_kept, new_ledger, whole
from tests.databases import DATABASES, empty_database

REPOSITORY = Path(__file__).parents[2]

GREEDY = """
import sys
from datasites.store.engine import open_engine
from policies.budget.costs import Cost
from policies.budget.ledger import charge, close, reserve
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.errors import RefusedError
engine, name = open_engine(sys.argv[1]), int(sys.argv[2])
mechanism = GaussianMechanism(20.0, 1.0, 1)
units = cost_units(mechanism, 9)
for number in range(40):
    request = f"{name * 1000 + number:064x}"
    try:
        with engine.begin() as connection:
            reserve(connection, "clinic-a", request, Cost(2 * units, units), number)
        with engine.begin() as connection:
            charge(connection, request, "training", "round 1", 1, mechanism, number)
        if number % 2:
            with engine.begin() as connection:
                close(connection, request, number)
    except RefusedError:
        continue
"""

TOUCHING = """
import os, sys
from datasites.store.engine import open_engine
from policies.budget.ledger import charge
from policies.budget.renyi import GaussianMechanism
engine, first, noise = open_engine(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4])
touched = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in range(first, first + 100_000):
    with engine.begin() as connection:
        charge(connection, "1" * 64, "training", f"round {number}", 1, GaussianMechanism(noise, 1.0, 1), number)
    os.write(touched, f"{number}\\n".encode())
    os.fsync(touched)
"""


@pytest.fixture(params=DATABASES)
def url(request, tmp_path) -> str:
    return empty_database(request.param, tmp_path)


@pytest.fixture
def engine(url) -> Engine:
    return new_ledger(url)


def test_concurrent_processes_race_for_the_rest(engine, url):
    racers = [subprocess.Popen([sys.executable, "-c", GREEDY, url, str(name)], cwd=REPOSITORY) for name in range(1, 6)]
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 5
    with engine.begin() as connection:
        standing = balance(connection, PEOPLE).training
    assert standing.remaining_units < 2 * cost_units(GaussianMechanism(20.0, 1.0, 1), 9)
    assert_promise_kept(engine)


def test_threads_whose_transactions_begin_as_readers(engine, url):
    """Even a caller that forgets to take the write lock first cannot act on a balance that another is using."""
    careless = create_engine(url)
    mechanism, start, admitted = GaussianMechanism(2.5, 1.0, 1), threading.Barrier(8), []

    def ask(number: int) -> None:
        start.wait()
        try:
            with careless.begin() as connection:
                balance(connection, PEOPLE)
                reserve(connection, PEOPLE, f"{number:064x}", whole(mechanism), number)
                charge(connection, f"{number:064x}", "training", "round 1", 1, mechanism, number)
            admitted.append(number)
        except (RefusedError, OperationalError):
            return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    with engine.begin() as connection:
        units = balance(connection, PEOPLE).training.allowance_units
    assert 1 <= len(admitted) <= units // cost_units(mechanism, 9)
    assert_promise_kept(engine)


def test_kill_while_charging_leaves_every_touch_charged_and_the_rest_bounded(engine, url, tmp_path):
    small, large = "300.0", GaussianMechanism(15.0, 1.0, 1)
    reserved = 10 * cost_units(large, 9)
    with engine.begin() as connection:
        reserve(connection, PEOPLE, "1" * 64, Cost(reserved, 0), 1)
    touched, first = tmp_path / "touched", 1
    for _ in range(3):
        before = touched.stat().st_size if touched.exists() else 0
        victim = subprocess.Popen(
            [sys.executable, "-c", TOUCHING, url, str(touched), str(first), small], cwd=REPOSITORY
        )
        deadline = time.monotonic() + 60
        while (not touched.exists() or touched.stat().st_size < before + 40) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait(timeout=30) == -signal.SIGKILL
        with engine.begin() as connection:
            charged = set(connection.execute(select(charges.c.step)).scalars())
            assert verify_chain(connection) == len(charged)
        touches = [f"round {number}" for number in touched.read_text().split()]
        assert len(touches) == len(set(touches))
        assert set(touches) <= charged
        first = 1 + max(int(one.removeprefix("round ")) for one in charged)
    last = subprocess.run(
        [sys.executable, "-c", TOUCHING, url, str(touched), str(first), str(large.noise_multiplier)],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert b"RefusedError" in last.stderr
    with engine.begin() as connection:
        standing = balance(connection, PEOPLE).training
        assert standing.spent_units + standing.reserved_units == reserved
        assert standing.reserved_units < cost_units(large, 9)
    assert_promise_kept(engine)
