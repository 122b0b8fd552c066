"""What sites say to a PySyft session: each message is checked against what was asked, then shown, or left out."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from pydantic import ValidationError

from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import FileSetOffer, FileSetReply, JobOutputs, JobStatus, PeerReply
from datasites.syft_bridge.description import DataSetCard
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError, UnavailableError
from policies.jobs.decision import JobDecision, verify_job_decisions
from policies.jobs.release import LOGS, MAXIMUM_OUTPUT_BYTES
from policies.statements.schema import describe_validation_error
from researcher.correspondence import Correspondence
from researcher.job_state import (
    Job,
    Mail,
    address_of,
    all_jobs,
    drop_mail,
    find_job,
    set_outputs,
    set_standing,
    set_status,
    waiting_mail,
)
from researcher.state import State
from researcher.syft_box import Box

_MAXIMUM_MOCK_BYTES_OF_A_SITE = 1 << 30
_NEEDS_APPROVAL = frozenset({"approved", "running", "held", "released", "withheld"})


@dataclass
class Inbox:
    """Acts on the mail that waits in the state file. Each site can move only its own data sets and its own jobs."""

    correspondence: Correspondence
    box: Box
    patience_seconds: float
    awaited: set[str] = field(default_factory=set)
    """The sites that were asked something and have not answered in full."""
    _offered: dict[str, tuple[int, set[str]]] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """The researcher's state file."""
        return self.correspondence.state

    def act(self) -> None:
        """Act on everything that waits; what cannot be fetched now waits on, what is wrong is left out with a warning.

        Raises:
            UnavailableError: a content could not be fetched; the rest was acted on.
        """
        unavailable: UnavailableError | None = None
        # Decisions first: they say which outputs are awaited.
        for mail in chain(self._waiting(outputs=False), self._waiting(outputs=True)):
            try:
                if self._take(mail):
                    drop_mail(self.state, mail.number)
            except UnavailableError as error:
                unavailable = error
            except (ConflictError, InvalidInputError, NotAuthenticError, RefusedError) as error:
                drop_mail(self.state, mail.number)
                warnings.warn(f"A message of {self._name(mail.site)} was left out: {error}", stacklevel=2)
        if unavailable is not None:
            raise unavailable

    def show_states(self) -> None:
        """Show how far every job has come."""
        for job in all_jobs(self.state):
            self._show(job)

    def _waiting(self, *, outputs: bool) -> Iterator[Mail]:
        return (mail for mail in waiting_mail(self.state) if isinstance(mail.message, JobOutputs) == outputs)

    def _take(self, mail: Mail) -> bool:
        """Act on a message; False where it has to wait for another."""
        match mail.message:
            case PeerReply() as reply:
                self._take_peer(mail.site, reply)
            case FileSetReply() as reply:
                self._take_data_set(mail.site, reply)
            case JobStatus() as status:
                self._take_status(self.state.sites()[mail.site], status)
            case JobOutputs() as outputs:
                return self._take_outputs(mail.site, outputs)
        return True

    def _take_peer(self, site: str, reply: PeerReply) -> None:
        address = self._address(site)
        if reply.contact != address:
            warnings.warn(
                f"{address} calls itself {reply.contact}; code that names its owner needs that.", stacklevel=2
            )
        set_standing(self.state, site, "accepted" if reply.accepted else "asked", reply.packages)
        self.awaited.discard(site)

    def _take_data_set(self, site: str, reply: FileSetReply) -> None:
        address = self._address(site)
        total, names = self._offered.get(site, (reply.total, set()))
        if total != reply.total:
            names = set()
        if reply.offer is not None:
            self._show_data_set(address, reply.offer)
            names = names | {reply.offer.name}
        if len(names) < reply.total:
            self._offered[site] = reply.total, names
            return
        self._offered.pop(site, None)
        self.awaited.discard(site)
        for gone in self.box.data_sets(address) - names:
            self.box.remove_data_set(address, gone)

    def _show_data_set(self, address: str, offer: FileSetOffer) -> None:
        sizes = [file.size for file in offer.files]
        try:
            card = DataSetCard(
                name=offer.name,
                summary=offer.summary,
                readme=offer.readme,
                tags=offer.tags,
                registered_at=offer.registered_at,
                mock_files=tuple(file.name for file in offer.files),
            )
        except ValidationError as error:
            raise InvalidInputError(
                f"It offers a data set that cannot be shown: {describe_validation_error(error)}."
            ) from error
        _require_distinct(card.mock_files)
        if self.box.stands(address, card, sizes):
            return
        _require_size(offer.mock.plain_size, sum(sizes))
        if self.box.shown_bytes(address) + sum(sizes) > _MAXIMUM_MOCK_BYTES_OF_A_SITE:
            raise InvalidInputError(f"{address} offers more than {_MAXIMUM_MOCK_BYTES_OF_A_SITE} bytes of mock files.")
        content = self.correspondence.open(offer.mock, sum(sizes), self.patience_seconds)
        self.box.show_data_set(address, card, sizes, content)

    def _take_status(self, card: IdentityCard, message: JobStatus) -> None:
        job = self._own(card.party, message.job)
        decision = job.decision if message.decision is None else _verified(card, job, message)
        verdict = None if decision is None else decision.verdict
        if (message.status in _NEEDS_APPROVAL and verdict != "approve") or (
            message.status == "denied" and verdict != "deny"
        ):
            raise NotAuthenticError(
                f"It says that «{job.terms.name}» is {message.status} without its people's signatures."
            )
        set_status(self.state, message)
        self._show(self._own(card.party, message.job))

    def _take_outputs(self, site: str, message: JobOutputs) -> bool:
        job = self._own(site, message.job)
        if message.request != job.terms.digest():
            raise NotAuthenticError(f"It sends outputs of another request than «{job.terms.name}».")
        if message.attempt <= job.outputs_attempt:
            raise ConflictError(f"It sends outputs of «{job.terms.name}» that came before.")
        approved = 0 if job.decision is None or job.decision.verdict != "approve" else job.decision.attempt
        if message.attempt > approved:
            return False
        if message.attempt < approved:
            raise ConflictError(f"It sends outputs of «{job.terms.name}» from before its newest approval.")
        if any(it.kind == "log" and it.path not in LOGS for it in message.files):
            raise InvalidInputError("It calls something a log that is none.")
        size = sum(it.size for it in message.files)
        _require_distinct(tuple(f"{it.kind}/{it.path}" for it in message.files))
        _require_size(message.content.plain_size, size)
        if size > MAXIMUM_OUTPUT_BYTES:
            raise InvalidInputError(f"It sends {size} bytes of outputs; at most {MAXIMUM_OUTPUT_BYTES} are taken.")
        content = self.correspondence.open(message.content, size, self.patience_seconds)
        self.box.place_outputs(self._address(site), job, message.files, content)
        set_outputs(self.state, message.job, message.attempt)
        self._show(self._own(site, message.job))
        return True

    def _own(self, site: str, identifier: str) -> Job:
        job = find_job(self.state, identifier, site)
        if job is None:
            raise InvalidInputError("It speaks of a job that was not submitted to it.")
        return job

    def _show(self, job: Job) -> None:
        self.box.show_state(self._address(job.terms.site), job)

    def _address(self, site: str) -> str:
        address = address_of(self.state, site)
        if address is None:
            raise InvalidInputError("No address was chosen for it.")
        return address.address

    def _name(self, site: str) -> str:
        address = address_of(self.state, site)
        return self.state.sites()[site].name if address is None else address.address


def _verified(card: IdentityCard, job: Job, message: JobStatus) -> JobDecision:
    if message.decision is None or card.owner_key is None:
        raise NotAuthenticError("Its card names no owner key.")
    decision = verify_job_decisions(message.decision, bytes.fromhex(card.owner_key), job.terms.researcher)
    covered = (decision.site, decision.request, tuple(it.name for it in decision.data_sets))
    if covered != (card.party, job.terms.digest(), job.terms.data_sets):
        raise NotAuthenticError(f"It shows a decision on something else than «{job.terms.name}» as it was submitted.")
    return decision


def _require_distinct(paths: tuple[str, ...]) -> None:
    folders = {path[:end] for path in paths for end in range(len(path)) if path[end] == "/"}
    if len(set(paths)) != len(paths) or folders & set(paths):
        raise InvalidInputError("It names a file twice, or as a file and as a folder.")


def _require_size(content: int, announced: int) -> None:
    if content != announced:
        raise InvalidInputError(f"It announces {announced} bytes and sends {content}.")
