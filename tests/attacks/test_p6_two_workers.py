"""P6 when several processes work on one database at once: nothing is decided, charged or begun twice."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.store.tables import budget_tables
from policies.log.budget_entries import ChargeMade
from policies.log.entries import DecisionTaken
from policies.log.job_entries import JobStarted
from policies.log.journal import entries
from tests.databases import DATABASES
from tests.one_job import JobScene

REPOSITORY = Path(__file__).parents[2]
PROCESSES, THREADS = 2, 4
PENDING, ASKED = ("1" * 32, "2" * 32), ("3" * 32, "4" * 32)
FIELDS = {"training": {"noise_multiplier": 40.0}, "evaluation": {"noise_multiplier": 40.0}}

WORKING = """
import json, sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from datasites.execution.charge_round import charge_next_round
from datasites.execution.jobs.run_job import begin_next_job
from datasites.protocol.person_key import load_person_key
from datasites.requests.decide import approve
from datasites.site import open_site
from datasites.store.home import Home
from policies.errors import CloisterError
from tests.site_folder import PASSPHRASE
folder, now, digests = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
site, key, done = open_site(Home(folder / "home"), lambda: now), load_person_key(folder / "owner", PASSPHRASE), []

def decide(digest):
    try:
        with site.engine.begin() as connection:
            approve(connection, site, digest, key)
        done.append(f"approved {digest}")
    except CloisterError:
        pass

def charge():
    with site.engine.begin() as connection:
        made = charge_next_round(connection, site, site.now)
    if made is not None:
        done.append(f"charged {made.request.digest}")
    return made is not None

def begin():
    made = begin_next_job(site)
    if made is not None:
        done.append(f"began {made.job.digest}")
    return made is not None

def work(number):
    for digest in digests[number % len(digests):] + digests[:number % len(digests)]:
        decide(digest)
        charge()
        begin()
    while charge() or begin():
        pass

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(THREADS) as threads:
    list(threads.map(work, range(THREADS)))
print(json.dumps(done), flush=True)
"""


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_of_many_workers_on_one_database_one_decides_charges_and_begins(jobs: JobScene, tmp_path: Path) -> None:
    scene = jobs.scene
    begun = {f"began {jobs.approve(jobs.tried(name=name)).digest}" for name in ("one", "two")}
    asked = [scene.ready(study, **FIELDS) for study in ASKED]
    assert all(scene.ask(request, 1) for request in asked)
    shown = {f"approved {scene.shown_digest(scene.submit(study, **FIELDS))}" for study in PENDING}
    digests = [it.removeprefix("approved ") for it in shown]
    command = [sys.executable, "-c", WORKING.replace("THREADS", str(THREADS)), str(tmp_path), str(scene.now), *digests]
    workers = [
        subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["ready\n"] * PROCESSES
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    done = Counter(it for worker in workers for it in json.loads(worker.communicate(timeout=120)[0]))
    assert done == Counter([*begun, *shown, *(f"charged {it.digest}" for it in asked)])
    with scene.site.engine.begin() as connection:
        found = [entry for _, entry in entries(connection)]
        reserved = list(connection.execute(select(budget_tables.reservations.c.request)).scalars())
    assert len(reserved) == len(PENDING) + len(ASKED)
    assert sum(isinstance(it, DecisionTaken) for it in found) == len(PENDING) + len(ASKED)
    assert Counter(it.partition for it in found if isinstance(it, ChargeMade)) == {"training": 2, "evaluation": 2}
    assert sum(isinstance(it, JobStarted) for it in found) == 2
    assert scene.audit().broken == []
