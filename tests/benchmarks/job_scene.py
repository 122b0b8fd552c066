"""One datasite to measure jobs on: a relay and the service, each a process of its own, and a researcher's session."""

import contextlib
import io
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from syft_rds import SyftRDSClient

import researcher
from datasites.cli.options import person_key, site_at
from datasites.requests.jobs.decide import approve_job
from datasites.requests.jobs.outputs import output_contents
from datasites.requests.jobs.records import Job, find_job
from datasites.requests.jobs.review import job_approval_digest
from datasites.site import Site as OpenSite
from datasites.store.engine import reading
from datasites.store.waking import wake
from researcher.syft_session import login_ds
from tests.benchmarks.memory import descendants_of
from tests.benchmarks.scene import RESEARCHER, Scene
from tests.demo.commands import COMMAND, datasite, environment
from tests.demo.site import Site
from tests.system.waiting import SECONDS, eventually, rows

ADA, ANNA = "ada@lab.example", "data-office@anna-hospital.example"
DATA_SET = "visits"
HELLO = f"""\
import time
print(time.monotonic_ns())
import json
import syft as sy
rows = sy.resolve_dataset_file_path("{DATA_SET}").read_text().splitlines()[1:]
json.dump({{"rows": len(rows)}}, open("outputs/result.json", "w"))
"""
"""PySyft's quick start, but for its first two lines: they print when the code began."""

KEEPS_OPEN = f"""\
import time
import syft as sy
with open(sy.resolve_dataset_file_path("{DATA_SET}")) as table:
    table.readline()
    time.sleep(2)
"""

_BETWEEN_SYNCS = 0.02
_HEADER = "patient,age,ill\n"


@contextmanager
def silence() -> Iterator[None]:
    """PySyft prints about each of its steps."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@dataclass
class JobScene:
    """The site «anna-hospital», its processes, and Ada's session; `owner` is the site as its owner opens it."""

    scene: Scene
    client: SyftRDSClient
    owner: OpenSite

    @property
    def site(self) -> Site:
        return self.scene.sites[0]

    @property
    def table(self) -> Path:
        """The private file that is offered."""
        return self.scene.folder / f"{DATA_SET}.csv"

    @property
    def service(self) -> int:
        """The service's process id."""
        return self.scene.processes[self.site.name].pid

    def wait_for_data_set(self, name: str) -> None:
        """Look round until the researcher's session shows the data set."""

        def shown() -> bool:
            self.client.sync()
            return any(it.name == name for it in self.client.datasets.get_all(datasite=ANNA))

        eventually(shown, f"{name} in the researcher's session")

    def submit(self, code: str = HELLO) -> str:
        """Submit a job as a PySyft user does; gives its name."""
        script, name = self.scene.folder / "analysis.py", f"job {uuid.uuid4().hex[:12]}"
        script.write_text(code)
        self.client.submit_python_job(ANNA, str(script), job_name=name)
        return name

    def job(self, name: str, *statuses: str) -> Job:
        """The job as it stands at the site, once it has one of these statuses."""

        def reached() -> list[str]:
            found = rows(self.site.home / "datasite.sqlite", "SELECT digest, status FROM jobs WHERE name = ?", name)
            return [row["digest"] for row in found if row["status"] in statuses]

        (digest,) = eventually(reached, f"{name} {statuses}")
        with reading(self.owner.engine) as connection:
            job = find_job(connection, digest)
        assert job is not None
        return job

    def approve(self, job: Job) -> int:
        """Approve a pending job; gives the instant at which that stood in the database (`time.monotonic_ns`)."""
        key = person_key(self.site.folder / "owner", self.site.folder / "passphrase")
        with self.owner.engine.begin() as connection:
            approve_job(connection, self.owner, job_approval_digest(connection, self.owner, job), key)
        committed = time.monotonic_ns()
        wake(self.owner.home)
        return committed

    def began(self, name: str) -> int:
        """The instant that the code of a job printed as its first line, once its outputs are held or further."""
        job = self.job(name, "held", "released")
        (printed,) = (content for file, content in output_contents(self.owner, job) if file.path == "stdout.txt")
        return int(printed.split()[0])

    def result(self, name: str) -> None:
        """Sync until the job's output lies where PySyft shows it."""
        box = self.scene.folder / "ada" / f"SyftBox_{ADA}"
        deadline = time.monotonic() + SECONDS
        while not any(box.glob(f"**/{name}/outputs/result.json")):
            assert time.monotonic() < deadline, f"{name} gave no result"
            time.sleep(_BETWEEN_SYNCS)
            self.client.sync()

    def wait_until_open(self, file: Path) -> None:
        """Wait until a job has a private file open: a process that the service started, not the service itself."""
        wanted = file.stat()

        def is_open() -> bool:
            return any(
                os.path.samestat(status, wanted) for pid in descendants_of(self.service) for status in _open_files(pid)
            )

        eventually(is_open, f"{file.name} open in a job")

    @contextmanager
    def approver(self) -> Iterator[None]:
        """While inside, whatever waits for the owner's signature is signed at once."""
        folder = self.site.folder
        command = [sys.executable, "-m", "tests.benchmarks.approver", self.site.home]
        with subprocess.Popen(
            [*command, folder / "owner", folder / "passphrase"], stdout=subprocess.PIPE, env=environment()
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                yield
            finally:
                process.terminate()


@contextmanager
def open_job_scene(folder: Path) -> Iterator[JobScene]:
    """Start everything below `folder`, with one table of 200 invented rows offered; when left, everything is ended."""
    scene = Scene(folder, [Site("anna-hospital", folder / "anna-hospital")])
    (site,) = scene.sites
    try:
        scene.start_relay()
        site.folder.mkdir(parents=True)
        shown = site.init(scene.relay_url)
        ada = researcher.connect(folder / "ada", name=RESEARCHER, relay=scene.relay_url)
        card = ada.save_card(folder / "ada-card.json")
        datasite("relay", "admit", folder / "relay", site.card, card)
        site.pin({card: ada.card.fingerprint})
        table = write_table(folder / f"{DATA_SET}.csv", "p", 200)
        subprocess.run(registration(site, DATA_SET, table), env=environment(), stdout=subprocess.DEVNULL, check=True)
        scene.start_sites()
        client = login_ds(
            ADA, home=folder / "ada", name=RESEARCHER, relay=scene.relay_url,
            sites={ANNA: (site.card, shown["fingerprint"])},
        )  # fmt: skip
        client.add_peer(ANNA, verbose=False)
        eventually(lambda: any(it["requested"] for it in _asking(site)), "a researcher who asks")
        datasite("peers", "accept", ADA, "--home", site.home)
        opened = JobScene(scene, client, site_at(site.home))
        opened.wait_for_data_set(DATA_SET)
        yield opened
    finally:
        scene.stop()


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            yield link.stat()


def registration(site: Site, name: str, private: Path) -> list[str]:
    """The command that offers a private file to everybody, with a small made-up one of the same name in its place."""
    mock = site.folder / "mock" / name / private.name
    mock.parent.mkdir(parents=True, exist_ok=True)
    write_table(mock, "m", 50)
    options = ("--summary", "Visits", "--mock", str(mock), "--everybody", "--home", str(site.home))
    return [*COMMAND, "files", "add", name, str(private), *options]


def write_table(path: Path, prefix: str, count: int) -> Path:
    """An invented table of `count` rows."""
    path.write_text(_HEADER + "".join(f"{prefix}{n:03},{20 + n % 60},{n % 2}\n" for n in range(count)))
    return path


def _asking(site: Site) -> Sequence[dict[str, object]]:
    found: Sequence[dict[str, object]] = datasite("peers", "asking", "--home", site.home)
    return found
