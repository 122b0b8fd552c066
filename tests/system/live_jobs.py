"""A datasite and a relay in processes of their own, and two researchers who write to the site about jobs."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from datasites.execution.jobs.job_worker import JobWorker
from datasites.protocol.content import wrap
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity
from datasites.protocol.job_messages import JobOutputs, JobStatus, JobSubmission
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import Message
from datasites.protocol.person_key import create_person_key, load_person_key
from datasites.relay.store import admit
from datasites.requests.jobs.records import Job, Status, find_job
from datasites.site import create_site
from datasites.store.engine import reading
from datasites.store.home import Home, Settings
from datasites.store.peers import pin
from datasites.store.waking import wake
from policies.jobs.terms import JobTerms
from tests.attacks import relay_scene
from tests.demo.commands import start
from tests.one_job import MOCK, PRIVATE, JobScene
from tests.one_site import Scene
from tests.site_folder import PASSPHRASE, Clock
from tests.system.waiting import SECONDS, children_of, eventually

Kind = TypeVar("Kind", bound=Message)
SLEEPS = """
import time
import syft as sy
if "p001" in open(sy.resolve_dataset_file_path("visits")).read():
    time.sleep(120)
"""
"""A job that ends at once on mock data, and does not on private data."""


class _Now(Clock):
    def __call__(self) -> float:
        return time.time()


@dataclass
class Post:
    """One researcher's end of the mail."""

    identity: Identity
    mailbox: Mailbox
    heard: list[Message] = field(default_factory=list)
    _number: int = 0
    _cursor: int = 0

    def write(self, site: Any, message: Message) -> None:
        self._number += 1
        self.mailbox.send([seal(self.identity, site, self._number, message)])

    def hears(self, site: Any, kind: type[Kind]) -> list[Kind]:
        """Everything of this kind that ever came."""
        for cursor, letter in self.mailbox.receive(self._cursor, 0.0):
            self.heard.append(open_envelope(self.identity, letter, {site.party: site}.get).message)
            self._cursor = cursor
        return [it for it in self.heard if isinstance(it, kind)]


@dataclass
class LiveJobs:
    """The site `jobs`, its process, and the researchers' posts by name; `points`: where it is armed to be killed."""

    folder: Path
    jobs: JobScene
    relay: subprocess.Popen[bytes]
    posts: dict[str, Post]
    process: subprocess.Popen[bytes] | None = None

    @property
    def points(self) -> Path:
        return self.folder / "points"

    @property
    def card(self) -> Any:
        return self.jobs.scene.site.identity.card

    def serve(self) -> None:
        """Start `datasite serve`, with kill points put in."""
        command = (sys.executable, "-m", "tests.system.killable", str(self.points), "--")
        home = self.jobs.scene.site.home
        self.process = start("serve", "--home", home.folder, log=self.folder / "serve.log", command=command)
        eventually(lambda: home.wake_socket.exists() and not self.ended(), "a service that listens")

    def ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() in (None, -signal.SIGKILL), (self.folder / "serve.log").read_text()
        return self.process.poll() is not None

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(SECONDS)

    def restart_after_death(self) -> None:
        """Wait for the kill point that was armed, and start it anew."""
        assert self.process is not None
        self.process.wait(SECONDS)
        self.ended()
        self.jobs.scene.site.home.wake_socket.unlink(missing_ok=True)
        self.serve()

    def submit(self, code: str, name: str, by: str = "ada", **changes: Any) -> JobTerms:
        content = code.encode()
        post = self.posts[by]
        usual = {"expires_at": int(time.time()) + 3600, "researcher": post.identity.party}
        terms = self.jobs.terms({"main.py": content}, name=name, **(usual | changes))
        text = terms.canonical().decode()
        self.write(JobSubmission(job=terms.job, terms=text, code=wrap(content)[0]), by)
        return terms

    def write(self, message: Message, by: str = "ada") -> None:
        self.posts[by].write(self.card, message)

    def hears(self, kind: type[Kind], by: str = "ada") -> list[Kind]:
        return self.posts[by].hears(self.card, kind)

    def job(self, terms: JobTerms) -> Job | None:
        with reading(self.jobs.scene.site.engine) as connection:
            return find_job(connection, terms.digest())

    def stands(self, terms: JobTerms, *statuses: Status, seconds: float = SECONDS) -> Job:
        """Wait until the job stands at one of these."""

        def found() -> Job | None:
            job = self.job(terms)
            return job if job is not None and job.status in statuses else None

        job = eventually(found, f"«{terms.name}» {statuses}; {(self.folder / 'serve.log').read_text()}", seconds)
        assert job is not None
        return job

    def at_work(self) -> set[int]:
        """Those of them in whose own file tree the job's code lies: others stand ready for the next one."""
        return {pid for pid in self.sandboxed() if Path(f"/proc/{pid}/root/job/code/main.py").exists()}

    def told(self, terms: JobTerms, status: str, by: str = "ada") -> JobStatus:
        """Wait until its researcher has heard that."""

        def found() -> list[JobStatus]:
            return [it for it in self.hears(JobStatus, by) if (it.job, it.status) == (terms.job, status)]

        return eventually(found, f"«{terms.name}» told as {status}")[-1]

    def outputs(self, terms: JobTerms, by: str = "ada") -> list[JobOutputs]:
        return [it for it in self.hears(JobOutputs, by) if it.job == terms.job]

    def pending(self, code: str, name: str, by: str = "ada", **changes: Any) -> JobTerms:
        terms = self.submit(code, name, by, **changes)
        self.stands(terms, Status.PENDING)
        return terms

    def approve(self, terms: JobTerms) -> None:
        self.jobs.approve(self.stands(terms, Status.PENDING, Status.FAILED))
        self.wake()

    def wake(self) -> None:
        wake(self.jobs.scene.site.home)

    def release(self, terms: JobTerms) -> None:
        self.jobs.release(self.stands(terms, Status.HELD))
        self.wake()

    def sandboxed(self) -> set[int]:
        """The processes that do an errand: below a zygote, which is the service's own child."""
        assert self.process is not None
        found, layer = set[int](), [it for zygote in children_of(self.process.pid) for it in children_of(zygote)]
        while layer:
            found |= set(layer)
            layer = [it for parent in layer for it in children_of(parent)]
        return found

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.relay.kill()
        self.relay.wait(SECONDS)


@contextmanager
def open_live_jobs() -> Iterator[LiveJobs]:
    """Everything running; the folder is short, for the sake of the service's socket."""
    with tempfile.TemporaryDirectory(prefix="jobs") as name:
        folder = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        jobs = _site(folder, url)
        people = {"ada": jobs.scene.researcher, "eve": jobs.scene.other_researcher}
        for card in (jobs.scene.site.identity.card, *(it.card for it in people.values())):
            admit(folder / "relay", card)
        relay, _ = relay_scene.start(folder / "relay", url)
        posts = {name: Post(it, Mailbox(it, url)) for name, it in people.items()}
        live = LiveJobs(folder, jobs, relay, posts)
        try:
            live.serve()
            yield live
        finally:
            live.close()


def _site(folder: Path, url: str) -> JobScene:
    settings = Settings(name="Clinic A", relay=url, contact="owner@clinic-a.example")
    site = create_site(Home(folder / "home"), settings, create_person_key(folder / "owner", PASSPHRASE))
    people = [Identity.create(folder / name, name, "researcher") for name in ("ada", "eve")]
    with site.engine.begin() as connection:
        for it in people:
            pin(connection, it.card, site.now)
    owner_key = load_person_key(folder / "owner", PASSPHRASE)
    scene = Scene(site, folder / "owner", owner_key, people[0], people[1], (people[0], people[1]), _Now())
    private, mock = folder / "visits.csv", folder / "mock" / "visits.csv"
    mock.parent.mkdir()
    private.write_text(PRIVATE)
    mock.write_text(MOCK)
    jobs = JobScene(scene, JobWorker(site), private)
    jobs.register()
    return jobs
