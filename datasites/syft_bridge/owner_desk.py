"""What stands behind an owner's PySyft session: the commands' own use cases, on the datasite's database."""

import shutil
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection
from syft.sync.peers.peer import Peer, PeerState

from datasites.catalog.file_sets import register_file_set, share_file_set
from datasites.requests.contacts import accept_contact, all_contacts, refuse_contact
from datasites.requests.jobs.close import cancel_job
from datasites.requests.jobs.decide import approve_job, deny_job
from datasites.requests.jobs.records import Job, Status, find_job, jobs_in
from datasites.requests.jobs.release import outputs_of, release_digest, release_outputs
from datasites.requests.jobs.review import job_approval_digest
from datasites.sandbox.environment import offered_packages
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.file_sets import require_file_set
from datasites.store.waking import wake
from datasites.syft_bridge.engine import describe_peer
from datasites.syft_bridge.mirror import Mirror
from policies.disclosure.findings import parse_findings
from policies.errors import RefusedError, UnavailableError

_LOOK_AGAIN_SECONDS = 0.02


@dataclass
class OwnerDesk:
    """One owner's session beside the running service; a `Desk` of the engine. `key` opens one's decision key."""

    site: Site
    key: Callable[[], Ed25519PrivateKey]
    mirror: Mirror = field(init=False)
    _approved_here: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mirror = Mirror(self.site)

    def sync(self) -> None:
        """Bring the box up to date with the database."""
        self.mirror.refresh()

    def peers(self) -> list[Peer]:
        """The researchers shown under an accepted address, then those who ask for one."""
        with reading(self.site.engine) as connection:
            known = all_contacts(connection)
        return [describe_peer(it.accepted, PeerState.ACCEPTED) for it in known if it.accepted] + [
            describe_peer(it.requested, PeerState.REQUESTED_BY_PEER) for it in known if it.requested
        ]

    def add_peer(self, address: str) -> None:
        """As `approve_peer`: an owner answers, and asks nobody."""
        self.approve_peer(address)

    def approve_peer(self, address: str) -> None:
        """Show the pinned researcher who asked for it under `address` from now on. Nobody is pinned by that.

        Raises:
            InvalidInputError: nobody who is pinned asked for it.
            ConflictError: several did, or somebody has it already.
        """
        with self.site.engine.begin() as connection:
            accept_contact(connection, self.site, address, offered_packages(), self.site.now)
        self._changed()

    def reject_peer(self, address: str) -> None:
        """Forget that somebody asked for `address`.

        Raises:
            InvalidInputError: nobody asks for it.
        """
        with self.site.engine.begin() as connection:
            refuse_contact(connection, address)
        self._changed()

    def push_job(self, job_dir: Path) -> None:
        """Raises RefusedError: an owner has no need to ask anybody."""
        shutil.rmtree(job_dir)
        raise RefusedError("Jobs are submitted by researchers; an owner can run code on its own data without asking.")

    def register(self, name: str, *, summary: str, readme: str, tags: Sequence[str], mock: Path, private: Path) -> None:
        """Offer files to jobs, to nobody at first; see `register_file_set`."""
        register_file_set(
            self.site,
            name=name,
            summary=summary,
            readme=readme,
            tags=tags,
            mock=mock,
            private=private,
            everybody=False,
            contacts=(),
        )
        self._changed()

    def share_data_set(self, name: str, users: list[str] | None) -> None:
        """Let `users` see a set of files too, or everybody who is pinned if that is None.

        Raises:
            InvalidInputError: there is no such set.
        """
        with reading(self.site.engine) as connection:
            known = require_file_set(connection, name)
        everybody = known.shared_with_all or users is None
        share_file_set(self.site, name, everybody=everybody, contacts=[*known.contacts, *(users or ())])
        self._changed()

    def delete_data_set(self, name: str) -> None:
        """Raises RefusedError: what was registered stands in the log."""
        raise RefusedError(
            f"«{name}» stays registered, as the log says it is; «datasite files share {name}» without options hides it."
        )

    def find(self, request: str) -> Job:
        """The job whose terms have this digest.

        Raises:
            RefusedError: there is none: what is shown is a study, or was made by hand.
        """
        with reading(self.site.engine) as connection:
            job = find_job(connection, request)
        if job is None:
            raise RefusedError("This is no job that was submitted; studies are decided on with «datasite approve».")
        return job

    def approval_digests(self, requests: Collection[str]) -> dict[str, str]:
        """For each of these jobs that there is, what an approval of it would cover at this moment."""
        with reading(self.site.engine) as connection:
            found = {it: find_job(connection, it) for it in requests}
            return {
                digest: job_approval_digest(connection, self.site, job)
                for digest, job in found.items()
                if job is not None
            }

    def approve(self, request: str, approval_digest: str) -> None:
        """Approve exactly what was listed under this digest, and let the service run it.

        Raises:
            RefusedError: something has changed since, a rule forbids it, or this person may not decide on it.
            NotAuthenticError: the key is nobody's of this site.
        """
        key = self.key()
        self._decide(lambda connection: approve_job(connection, self.site, approval_digest, key))
        self._approved_here.add(request)

    def deny(self, request: str, reason: str) -> None:
        """Deny a job; its researcher reads `reason`.

        Raises:
            ConflictError: it is not pending any more.
        """
        key, number = self.key(), self.find(request).number
        self._decide(lambda connection: deny_job(connection, self.site, number, reason, key))

    def cancel(self, request: str, reason: str) -> None:
        """End a job by the owner's word; an execution that runs is stopped.

        Raises:
            ConflictError: it has ended already.
        """
        number = self.find(request).number
        self._decide(lambda connection: cancel_job(connection, number, reason, self.site.now))

    def release(self, request: str, *, logs: bool) -> None:
        """Let a job's outputs go to its researcher, with what it printed if `logs` is true: a person's signed word.

        Raises:
            ConflictError: it has no outputs that wait for a word.
        """
        key, job = self.key(), self.find(request)
        with reading(self.site.engine) as connection:
            digest = release_digest(connection, self.site, job, outputs_of(job, logs=logs))
        self._decide(lambda connection: release_outputs(connection, self.site, digest, key))

    def process(self, *, seconds: float, outputs: bool, logs: bool) -> None:
        """Wait until each approved job has ended and, if asked, release what the inspection had nothing to hold in.

        What it holds nobody has seen when this is called: it stays, with a warning that says what was found.

        Raises:
            RefusedError: logs are to be shared without outputs.
            UnavailableError: a job has not ended within `seconds`; it goes on.
        """
        if logs and not outputs:
            raise RefusedError("What a job printed is released together with its outputs; ask for both.")
        wake(self.site.home)
        with reading(self.site.engine) as connection:
            awaited = self._approved_here | {it.digest for it in jobs_in(connection, Status.APPROVED, Status.RUNNING)}
        deadline = time.monotonic() + seconds
        for request in sorted(awaited):
            job = self._ended(request, deadline)
            self._approved_here.discard(request)
            if outputs:
                self._release_if_clean(job, logs=logs)
        self._changed()

    def _ended(self, request: str, deadline: float) -> Job:
        while (job := self.find(request)).status in (Status.APPROVED, Status.RUNNING):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The job «{job.terms.name}» has not ended in time. It goes on if «datasite serve» runs; try again."
                )
            time.sleep(_LOOK_AGAIN_SECONDS)
        return job

    def _release_if_clean(self, job: Job, *, logs: bool) -> None:
        if job.release is not None or not outputs_of(job, logs=logs):
            return
        found = None if job.findings is None else parse_findings(job.findings.encode())
        if found is not None and found.clean:
            self.release(job.digest, logs=logs)
            return
        said = "" if found is None else " ".join(it.sentence for it in found.found if it.severity == "hold")
        warnings.warn(
            f"The outputs of «{job.terms.name}» are held. {said} Look at them with «datasite outputs {job.number}», "
            "then release them with job.share_outputs([job.submitted_by]).",
            stacklevel=2,
        )

    def _decide(self, decide: Callable[[Connection], Job]) -> None:
        with self.site.engine.begin() as connection:
            decide(connection)
        self._changed()

    def _changed(self) -> None:
        wake(self.site.home)
        self.mirror.refresh()
