"""Studies and jobs at one site, to which anything may happen that people or the service may do, at any moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from datasites.execution.charge_round import Assignment
from datasites.execution.interrupted_rounds import take_up_interrupted_rounds
from datasites.execution.jobs.job_worker import JobWorker
from datasites.halts.stopped import is_stopped
from datasites.protocol.messages import StudyClose
from datasites.requests.close import close_expired, close_request
from datasites.requests.decide import deny
from datasites.requests.finish_check import admit
from datasites.requests.jobs.records import OPEN as OPEN_JOBS
from datasites.requests.jobs.records import Job, all_jobs
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.patience import patience_seconds
from datasites.requests.records import OPEN, Request, Status, all_requests, find_study
from datasites.requests.withdraw import withdraw
from datasites.sandbox.errand import Outcome
from datasites.store.tables import budget_tables, set_backs, witnesses
from datasites.witnesses.balances import seal_balances
from datasites.witnesses.recover import recover
from policies.errors import CloisterError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.journal import append, leaf_hashes
from policies.log.merkle import TreeHead
from policies.log.recovery import LostHead
from policies.log.set_back_entries import SetBackNoticed
from tests.halting import reserved, resume, revoke, stop
from tests.one_job import COUNT, JobScene, new_job_scene
from tests.site_folder import NOW

STUDIES = tuple(f"{number}" * 32 for number in range(1, 7))
JOBS = ("one", "two", "three", "four")
FIELDS: dict[str, Any] = {
    "training": {"noise_multiplier": 40.0, "rounds": 2, "retries": 1},
    "evaluation": {"models": (), "noise_multiplier": 40.0},
}
ENDS = {study: NOW + 1000 * number for number, study in enumerate(STUDIES, start=1)}


class QuickZygotes:
    """Stands for the sandbox: whatever runs in it has finished at once, and wrote nothing."""

    def __init__(self) -> None:
        self.end_all = lambda: None

    @contextmanager
    def of(self, _researcher: str) -> Iterator["QuickZygotes"]:
        yield self

    def run(self, *_: object) -> Outcome:
        return Outcome("finished", "", (), (), b"", b"", 0.1, 0.1, 1, ("seccomp",))


class Life:
    """Studies and jobs at one site; each event is what a person or the service might do at any moment."""

    def __init__(self, folder: Path) -> None:
        self.jobs: JobScene = new_job_scene(folder)
        self.scene = self.jobs.scene
        self.jobs.worker = JobWorker(self.scene.site)
        self.jobs.worker._zygotes = QuickZygotes()  # type: ignore[assignment]
        self.charged: list[Assignment] = []

    def end(self) -> None:
        """However far it came, everything ends: by expiry at the latest, even while the site is stopped."""
        self.scene.clock.seconds = max(ENDS.values()) + 86_400
        self.expire()
        assert reserved(self.scene) == (0, 0)
        assert not [it for it in self._requests() if it.status in OPEN]
        assert not [it for it in self._jobs() if it.status in OPEN_JOBS]
        assert self.scene.audit().broken == []

    # ---- studies

    def receive(self, study: str) -> None:
        with suppress(CloisterError):
            self.scene.receive(self.scene.terms(study, expires_at=ENDS[study], **FIELDS))

    def check(self, study: str) -> None:
        self._on(study, lambda connection, it: admit(connection, self.scene.site, it))

    def approve(self, study: str) -> None:
        self._with(study, lambda it: self.scene.approve(it))

    def deny(self, study: str) -> None:
        self._on(
            study, lambda connection, it: deny(connection, self.scene.site, it.number, "No.", self.scene.owner_key)
        )

    def set_up(self, study: str) -> None:
        self._with(study, lambda it: self.scene.set_up(it))

    def ask(self, study: str, number: int) -> None:
        self._with(study, lambda it: self.scene.ask(it, number))

    def charge(self) -> None:
        made = self.scene.charge()
        self.charged += [made] if made else []

    def answer(self) -> None:
        if not self.charged:
            return
        with suppress(CloisterError):
            self.scene.answer(self.charged.pop())

    def restart(self) -> None:
        """What was charged and not answered is taken up, as the worker does unless the site is stopped."""
        self.charged.clear()
        with self.scene.site.engine.begin() as connection:
            if not is_stopped(connection, self.scene.site):
                take_up_interrupted_rounds(connection, self.scene.now)

    def withdraw(self, study: str) -> None:
        message = StudyClose(study=study, reason="No time.")
        self._on(study, lambda connection, it: withdraw(connection, it.sender, message, self.scene.now))

    def fail(self, study: str) -> None:
        self._on(study, lambda connection, it: close_request(connection, it.digest, Status.FAILED, "?", self.scene.now))

    def revoke(self, study: str) -> None:
        self._with(study, lambda it: revoke(self.scene, it))

    # ---- jobs

    def send_job(self, name: str) -> None:
        with suppress(CloisterError):
            self.jobs.receive(COUNT, name=name, expires_at=NOW + 1500)

    def try_job(self) -> None:
        if any(it.status is JobStatus.RECEIVED for it in self._jobs()):  # else it would export a study's source
            self.jobs.worker.try_next()

    def approve_job(self, name: str) -> None:
        self._with_job(name, self.jobs.approve)

    def deny_job(self, name: str) -> None:
        self._with_job(name, self.jobs.deny)

    def run_job(self) -> None:
        self.jobs.worker.run_next()

    def release_job(self, name: str) -> None:
        self._with_job(name, lambda it: self.jobs.release(it, logs=True))

    def cancel_job(self, name: str) -> None:
        self._with_job(name, self.jobs.cancel)

    def revoke_job(self, name: str) -> None:
        self._with_job(name, lambda it: revoke(self.scene, it))

    # ---- the whole site

    def stop(self) -> None:
        with suppress(CloisterError):
            stop(self.scene)

    def resume(self) -> None:
        with suppress(CloisterError):
            resume(self.scene)

    def expire(self) -> None:
        """Time passes; what has expired is closed, as the worker does when it is due."""
        self.scene.clock.seconds += 300
        with self.scene.site.engine.begin() as connection:
            close_expired(connection, self.scene.now, patience_seconds(connection, self.scene.site))
        while self.jobs.worker.tell_next() == 0.0:
            pass

    def recover(self) -> None:
        """A witness shows that the disk was set back, and the owner recovers."""
        site = self.scene.site
        card, log_key = site.identity.card, site.identity.log
        assert log_key is not None
        with site.engine.begin() as connection:
            known = connection.execute(select(witnesses.c.party)).scalars().first()
            if known is None:
                return
            head = TreeHead(len(leaf_hashes(connection)) + 5, bytes(32))
            note = sign_checkpoint(log_key, Checkpoint(log_origin(card.party), head)).decode()
            balance = seal_balances(connection, site.catalog_keys.balance, card.party, head)
            values = {"witness": known, "checkpoint": note, "balance": balance, "noticed_at": self.scene.now}
            connection.execute(insert(set_backs).values(values))
            append(connection, SetBackNoticed(at=self.scene.now, witness=known, held=LostHead.of(head)))
        with site.engine.begin() as connection:
            recover(connection, site, self.scene.owner_key, self.scene.now)

    # ---- what always holds

    def only_what_is_open_and_not_expired_holds_units(self) -> None:
        open_ones = budget_tables.reservations.c.state == "open"
        with self.scene.site.engine.begin() as connection:
            holding = connection.execute(select(budget_tables.reservations.c.request).where(open_ones)).scalars().all()
        going = {
            it.digest
            for it in self._requests()
            if it.status in (Status.APPROVED, Status.RUNNING) and it.terms.expires_at > self.scene.now
        }
        assert set(holding) == going
        assert going or reserved(self.scene) == (0, 0)

    def the_log_verifies(self) -> None:
        assert self.scene.audit().broken == []

    def check_all(self) -> None:
        self.only_what_is_open_and_not_expired_holds_units()
        self.the_log_verifies()

    def _requests(self) -> list[Request]:
        with self.scene.site.engine.begin() as connection:
            return all_requests(connection)

    def _jobs(self) -> list[Job]:
        with self.scene.site.engine.begin() as connection:
            return all_jobs(connection)

    def _with(self, study: str, act: Callable[[Request], object]) -> None:
        with self.scene.site.engine.begin() as connection:
            found = find_study(connection, self.scene.researcher.party, study)
        if found is not None:
            with suppress(CloisterError):
                act(found)

    def _on(self, study: str, act: Callable[[Connection, Request], object]) -> None:
        def in_transaction(found: Request) -> None:
            with self.scene.site.engine.begin() as connection:
                act(connection, found)

        self._with(study, in_transaction)

    def _with_job(self, name: str, act: Callable[[Job], object]) -> None:
        for job in self._jobs():
            if job.terms.name == name:
                with suppress(CloisterError):
                    act(job)
