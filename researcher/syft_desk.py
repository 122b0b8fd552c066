"""What stands behind a researcher's PySyft session: acquaintances, submissions and mail, in our own messages."""

import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syft.sync.peers.peer import Peer, PeerState

from datasites.protocol.job_messages import FileSetRequest, JobCancel, JobSubmission, PeerRequest
from datasites.syft_bridge.engine import describe_peer
from policies.errors import CloisterError, ConflictError, InvalidInputError, RefusedError, UnavailableError
from policies.jobs.terms import JobTerms
from policies.statements.schema import as_text
from researcher.correspondence import Correspondence
from researcher.job_state import Address, add_job, addresses, all_jobs, mark_sent, set_standing, unsent_jobs
from researcher.question_state import Question, questions_on
from researcher.questions import answer_question
from researcher.syft_box import Box
from researcher.syft_inbox import Inbox
from researcher.syft_submission import Stated, read_submission

_WAIT_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 2.0
_NOT_YOURS = "That is for the owner of a data set: a researcher's session only looks at data sets and submits jobs."


@dataclass
class ResearcherDesk:
    """One researcher's end of all conversations on jobs; a `Desk` of the engine."""

    correspondence: Correspondence
    box: Box
    stated: Stated
    patience_seconds: float
    inbox: Inbox = field(init=False)
    replaced: str | None = None
    """The digest of the terms of the job that the next one replaces."""
    _asked_at: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.correspondence, self.box, self.patience_seconds)

    def sync(self) -> None:
        """Hand over what waits, ask for news of data sets, and act on what came, waiting a moment for the answers.

        Raises:
            UnavailableError: the relay cannot be reached.
        """
        self._send_jobs(0)
        deadline = time.monotonic() + _WAIT_SECONDS
        self._take_mail(0)
        while self.inbox.awaited and (left := deadline - time.monotonic()) > 0:
            self._take_mail(left)

    def peers(self) -> list[Peer]:
        """The sites that were asked: those that accepted this address, then those that have not yet."""
        known = addresses(self.correspondence.state).values()
        return [describe_peer(it.address, PeerState.ACCEPTED) for it in known if it.standing == "accepted"] + [
            describe_peer(it.address, PeerState.REQUESTED_BY_ME) for it in known if it.standing == "asked"
        ]

    def add_peer(self, address: str) -> None:
        """Ask a pinned site to show this researcher under its address.

        Raises:
            InvalidInputError: no pinned site stands under `address`.
            UnavailableError: the relay cannot be reached.
        """
        site = self._pinned(address).site
        self.correspondence.send([site], PeerRequest(contact=self.box.email), self.patience_seconds)
        if self._pinned(address).standing == "pinned":
            set_standing(self.correspondence.state, site, "asked")
        self.inbox.awaited.add(site)

    def approve_peer(self, address: str) -> None:
        """Raises RefusedError: nobody asks a researcher."""
        raise RefusedError(f"{address} cannot ask a researcher for anything; add_peer(…) asks it instead.")

    def reject_peer(self, address: str) -> None:
        """Raises RefusedError: nobody asks a researcher."""
        self.approve_peer(address)

    def push_job(self, job_dir: Path) -> None:
        """Check, keep and send the submission in `job_dir`; a refused one is taken away again.

        Raises:
            InvalidInputError, RefusedError: no site would accept it, or this one does not; see `read_submission`.
        """
        state = self.correspondence.state
        try:
            address = self._pinned(job_dir.relative_to(self.box.folder).parts[0])
            terms, code = read_submission(
                job_dir,
                self.correspondence.identity.party,
                address,
                self.box.data_sets(address.address),
                self.stated,
                self.replaced,
            )
            if any((it.terms.site, it.terms.name) == (terms.site, terms.name) for it in all_jobs(state)):
                raise ConflictError(f"A job called «{terms.name}» was submitted to {address.address} before.")
        except CloisterError:
            shutil.rmtree(job_dir)
            raise
        add_job(state, terms, code)
        self._send_jobs(self.patience_seconds)

    def cancel(self, address: str, name: str, reason: str) -> None:
        """Ask a site to stop this researcher's job of that name, or not to begin it.

        Raises:
            ConflictError: no such job was submitted to it.
            UnavailableError: the relay cannot be reached.
        """
        terms = self._submitted(address, name)
        self._send_jobs(self.patience_seconds)
        message = JobCancel(job=terms.job, reason=as_text(reason))
        self.correspondence.send([terms.site], message, self.patience_seconds)

    def questions(self, address: str, name: str) -> list[Question]:
        """What a site asked about this researcher's job of that name, as last heard.

        Raises:
            ConflictError: no such job was submitted to it.
        """
        return questions_on(self.correspondence.state, self._submitted(address, name).digest())

    @contextmanager
    def replacing(self, address: str, name: str) -> Iterator[None]:
        """Let jobs that are submitted inside this replace the one of that name.

        Raises:
            ConflictError: no such job was submitted to it.
        """
        self.replaced = self._submitted(address, name).digest()
        try:
            yield
        finally:
            self.replaced = None

    def answer(self, address: str, name: str, text: str, question: Question | None) -> None:
        """Answer what a site asked about the job of that name; see `answer_question`.

        Raises:
            ConflictError: no such job was submitted to it, or the question was answered before.
        """
        request = self._submitted(address, name).digest()
        answer_question(self.correspondence, request, text, question, self.patience_seconds)

    def share_data_set(self, name: str, users: list[str] | None) -> None:
        """Raises RefusedError: it is not this researcher's."""
        raise RefusedError(_NOT_YOURS)

    def delete_data_set(self, name: str) -> None:
        """Raises RefusedError: it is not this researcher's."""
        raise RefusedError(_NOT_YOURS)

    def _take_mail(self, seconds: float) -> None:
        self.correspondence.listen(seconds)
        self.inbox.act()
        self._ask_for_data_sets()

    def _send_jobs(self, seconds: float) -> None:
        """Send the jobs that no relay has taken, trying each for `seconds`; one that cannot go now waits on."""
        for terms, code in unsent_jobs(self.correspondence.state):
            try:
                content = self.correspondence.upload(code, seconds)
                submission = JobSubmission(job=terms.job, terms=terms.canonical().decode(), code=content)
                self.correspondence.send([terms.site], submission, seconds)
            except UnavailableError as error:
                warnings.warn(f"«{terms.name}» is kept and goes out with the next sync(): {error}", stacklevel=2)
            else:
                mark_sent(self.correspondence.state, terms.job)

    def _ask_for_data_sets(self) -> None:
        """Ask the sites that accepted for their data sets, each so often at most."""
        now = time.monotonic()
        due = [
            it.site
            for it in addresses(self.correspondence.state).values()
            if it.standing == "accepted"
            and now - self._asked_at.get(it.site, -_ASK_AGAIN_SECONDS) >= _ASK_AGAIN_SECONDS
        ]
        if due:
            self.correspondence.send(due, FileSetRequest(), 0)
            self.inbox.awaited |= set(due)
            self._asked_at |= dict.fromkeys(due, now)

    def _submitted(self, address: str, name: str) -> JobTerms:
        site = self._pinned(address).site
        for job in all_jobs(self.correspondence.state):
            if (job.terms.site, job.terms.name) == (site, name):
                return job.terms
        raise ConflictError(f"No job called «{name}» was submitted to {address}.")

    def _pinned(self, address: str) -> Address:
        known = addresses(self.correspondence.state)
        if address not in known:
            raise InvalidInputError(
                f"No site is pinned as {address}; name it in login_ds(sites={{…}}) with its card and the fingerprint "
                "that its owner read aloud."
            )
        return known[address]
