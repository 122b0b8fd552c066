"""A PySyft session over a relay in a process of its own, and two sites whose every word the test writes."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from syft_rds import SyftRDSClient

from datasites.protocol.content import wrap
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.job_messages import (
    FileSetOffer,
    FileSetReply,
    FileSetRequest,
    JobOutputs,
    JobStatus,
    JobSubmission,
    MockFile,
    PeerReply,
    PeerRequest,
)
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import Message
from datasites.relay.store import admit
from policies.jobs.decision import DataSetSnapshot, JobDecision, SignedJobDecisions, sign_job_decision
from policies.jobs.release import OutputFact
from policies.jobs.terms import JobTerms
from researcher.syft_session import login_ds
from tests.attacks.relay_scene import start

ADA = "ada@lab.example"
ANNA = "data-office@anna.example"
BERN = "data-office@bern.example"
PACKAGES = ("numpy==2.4.0", "pandas==2.3.3", "scikit-learn==1.8.0", "syft==0.10.0")
ANALYSIS = """import json
import syft as sy

rows = sy.resolve_dataset_file_path("diabetes").read_text().splitlines()
json.dump({"rows": len(rows) - 1}, open("outputs/result.json", "w"))
"""


@dataclass
class StandInSite:
    """A pinned site: its service's keys, its owner's, and its end of the post."""

    identity: Identity
    owner_key: Ed25519PrivateKey
    mailbox: Mailbox
    address: str
    ada: IdentityCard
    offers: dict[str, dict[str, bytes]] = field(default_factory=dict)
    jobs: list[JobTerms] = field(default_factory=list)
    code: list[bytes] = field(default_factory=list)
    accepts: bool = True
    answers: bool = True
    _number: int = 0
    _cursor: int = 0

    def says(self, message: Message, number: int | None = None) -> bytes:
        """Send the researcher a message; gives the letter."""
        self._number = number or self._number + 1
        letter = seal(self.identity, self.ada, self._number, message)
        self.mailbox.send([letter])
        return letter

    def hears(self) -> list[Message]:
        """Take its mail, and answer the everyday questions."""
        heard: list[Message] = []
        while letters := self.mailbox.receive(self._cursor, 0):
            for cursor, letter in letters:
                opened = open_envelope(self.identity, letter, {self.ada.party: self.ada}.get)
                heard.append(opened.message)
                self._cursor = cursor
        for message in heard if self.answers else ():
            self._answer(message)
        return heard

    def offer(self, name: str, files: Mapping[str, bytes], *, total: int, **changes: Any) -> FileSetReply:
        """A reply that offers a data set with these mock files."""
        content, sealed = wrap(b"".join(files.values()))
        if sealed is not None:
            self.mailbox.put_blob(sealed, 10)
        fields: dict[str, Any] = {
            "name": name,
            "summary": "Diabetes in primary care",
            "readme": "# Diabetes",
            "tags": ("endocrinology",),
            "registered_at": 1_700_000_000,
            "files": tuple(MockFile(name=it, size=len(content)) for it, content in files.items()),
            "mock": content,
        }
        return FileSetReply(total=total, offer=FileSetOffer(**(fields | changes)))

    def decide(self, terms: JobTerms, verdict: str = "approve", **changes: Any) -> SignedJobDecisions:
        """The owner's signed decision on a job."""
        fields: dict[str, Any] = {
            "version": "cloister-job-decision/1",
            "site": self.identity.party,
            "request": terms.digest(),
            "attempt": 1,
            "data_sets": tuple(
                DataSetSnapshot(name=it, commitment="c" * 64, population=None) for it in terms.data_sets
            ),
            "limits": terms.limits,
            "outputs": (),
            "release": "by-hand",
            "expires_at": int(time.time()) + 86_400,
            "approvals": 1,
            "verdict": verdict,
            "house_rules": "0" * 64,
            "reason": "Read and understood.",
            "decided_at": int(time.time()),
        }
        return SignedJobDecisions(signed=(sign_job_decision(self.owner_key, JobDecision(**(fields | changes))),))

    def status(self, terms: JobTerms, status: str, **changes: Any) -> JobStatus:
        """A status message on a job."""
        fields: dict[str, Any] = {
            "job": terms.job,
            "status": status,
            "detail": "So it is.",
            "decision": None,
            "ending": None,
            "milliseconds": None,
        }
        return JobStatus(**(fields | changes))

    def outputs(self, terms: JobTerms, files: Mapping[str, bytes], **changes: Any) -> JobOutputs:
        """A message with released files: names such as `output/result.json` and `log/stdout.txt`."""
        content, sealed = wrap(b"".join(files.values()))
        if sealed is not None:
            self.mailbox.put_blob(sealed, 10)
        facts = [(*name.split("/", 1), len(content)) for name, content in files.items()]
        fields: dict[str, Any] = {
            "job": terms.job,
            "request": terms.digest(),
            "attempt": 1,
            "files": tuple(OutputFact(kind=kind, path=path, size=size) for kind, path, size in facts),
            "content": content,
        }
        return JobOutputs(**(fields | changes))

    def _answer(self, message: Message) -> None:
        match message:
            case PeerRequest():
                self.says(PeerReply(contact=self.address, accepted=self.accepts, packages=PACKAGES))
            case FileSetRequest() if not self.offers:
                self.says(FileSetReply(total=0, offer=None))
            case FileSetRequest():
                for name, files in self.offers.items():
                    self.says(self.offer(name, files, total=len(self.offers)))
            case JobSubmission():
                terms = JobTerms.model_validate_json(message.terms)
                self.jobs.append(terms)
                self.code.append(message.code.plain())
                self.says(self.status(terms, "pending"))


@dataclass
class SyftScene:
    """Ada, the sites anna and bern, and the relay between them."""

    folder: Path
    url: str
    anna: StandInSite
    bern: StandInSite
    cards: dict[str, tuple[Path, str]]
    relay: subprocess.Popen[bytes]

    def stop_relay(self) -> None:
        """`kill -9` the relay."""
        self.relay.send_signal(signal.SIGKILL)
        self.relay.wait(20)

    def start_relay(self) -> None:
        """Start it again, over the same folder and port."""
        self.relay, _ = start(self.folder / "relay", self.url)

    def login(self, **changes: Any) -> SyftRDSClient:
        """Ada's session."""
        arguments: dict[str, Any] = {
            "email": ADA, "home": self.folder / "ada", "name": "ada", "relay": self.url, "sites": self.cards,
            "patience_seconds": 2.0,
        }  # fmt: skip
        return login_ds(**(arguments | changes))

    def acquainted(self) -> SyftRDSClient:
        """A session that anna accepted, with a data set of hers to look at."""
        client = self.login()
        self.anna.offers = {"diabetes": {"diabetes.csv": b"age,glucose\n50,100\n"}}
        client.add_peer(ANNA, verbose=False)
        self.talk(client)
        return client

    def talk(self, client: SyftRDSClient) -> None:
        """Let everybody speak until nobody has more to say."""
        for _ in range(2):
            client.sync_engine._desk._asked_at.clear()
            client.sync()
            self.anna.hears()
            self.bern.hears()
        client.sync()

    def script(self, code: str = ANALYSIS) -> str:
        """The path of `analysis.py` with this code."""
        script = self.folder / "analysis.py"
        script.write_text(code)
        return str(script)

    def submit(self, client: SyftRDSClient, code: str = ANALYSIS, **arguments: Any) -> JobTerms:
        """Submit a job to anna, and give its terms as they reached her."""
        client.submit_python_job(ANNA, self.script(code), **({"job_name": "count"} | arguments))
        self.anna.hears()
        client.sync()
        return self.anna.jobs[-1]

    def box(self) -> dict[str, bytes]:
        """Every file of the box, by its path below it."""
        root = self.folder / "ada" / f"SyftBox_{ADA}"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def open_scene(folder: Path) -> Iterator[SyftScene]:
    """Start the relay and admit everybody; the researcher's keys are made before, so that all can be admitted."""
    ada = Identity.create(folder / "ada" / "keys", "ada", "researcher")
    admit(folder / "relay", ada.card)
    made: dict[str, tuple[Identity, Ed25519PrivateKey]] = {}
    for name in ("anna", "bern"):
        owner_key = Ed25519PrivateKey.generate()
        identity = Identity.create(folder / name, name, "datasite", owner_key.public_key().public_bytes_raw())
        admit(folder / "relay", identity.card)
        made[name] = identity, owner_key
    process, url = start(folder / "relay")
    named = ((ANNA, "anna"), (BERN, "bern"))
    sites = [StandInSite(*made[name], Mailbox(made[name][0], url), address, ada.card) for address, name in named]
    cards = {address: (folder / name / "card.json", made[name][0].card.fingerprint) for address, name in named}
    scene = SyftScene(folder, url, *sites, cards, process)
    try:
        yield scene
    finally:
        scene.stop_relay()
