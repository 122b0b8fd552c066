"""Letters about jobs, as an attacker may write them to a datasite; and what of them its relay is asked to fetch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import wrap
from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.job_messages import JobSubmission
from datasites.protocol.messages import Message
from datasites.serving.incoming import Incoming
from policies.jobs.terms import JobTerms
from policies.log.entries import MessageRefused
from policies.log.journal import entries
from tests.one_job import COUNT, JobScene


@dataclass
class Relay:
    """Blobs at the relay, and how often one was asked for."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    fetched: int = 0

    def get_blob(self, reference: BlobReference, _seconds: float) -> Iterator[bytes]:
        self.fetched += 1
        yield self.blobs[reference.digest]


class JobLetters:
    """What the site's service does with each letter; `post` writes one from `sender` under the next number."""

    def __init__(self, jobs: JobScene) -> None:
        self.jobs, self.relay = jobs, Relay()
        self._incoming = Incoming(jobs.scene.site, self.relay)  # type: ignore[arg-type]
        self._numbers: dict[str, int] = {}

    def post(self, message: Message, sender: Identity | None = None) -> bytes:
        who = sender or self.jobs.scene.researcher
        self._numbers[who.party] = self._numbers.get(who.party, 0) + 1
        letter = seal(who, self.jobs.scene.site.identity.card, self._numbers[who.party], message)
        self.take(letter)
        return letter

    def take(self, letter: bytes) -> None:
        self._incoming.take(letter)

    def submission(self, of: JobTerms | None = None, content: bytes = COUNT.encode(), **changes: Any) -> JobSubmission:
        """A submission; `changes` are fields of it, whether they are valid or not."""
        terms = of or self.jobs.terms({"main.py": content})
        fields = {"job": terms.job, "terms": terms.canonical().decode(), "code": wrap(content)[0]}
        return JobSubmission.model_construct(type="job-submission", **(fields | changes))

    def refusals(self) -> list[str]:
        """Why letters were refused, as the log has it."""
        with self.jobs.scene.site.engine.begin() as connection:
            return [entry.reason for _, entry in entries(connection) if isinstance(entry, MessageRefused)]

    def flows_on(self) -> None:
        """The next job of somebody else is taken in."""
        eve, before = self.jobs.scene.other_researcher, self.jobs.scene.count("jobs")
        terms = self.jobs.terms({"main.py": COUNT.encode()}, name=f"flows {before}", researcher=eve.party)
        self.post(self.submission(terms), eve)
        assert self.jobs.scene.count("jobs") == before + 1
