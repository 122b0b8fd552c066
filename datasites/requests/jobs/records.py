"""Jobs as they stand in the database, and the few changes of status that there are."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sqlalchemy import Connection, Row, Select, func, select, update

from datasites.halts.went_out import went_out
from datasites.requests.jobs.runs import DryRun, Run
from datasites.store.tables import jobs, requests
from policies.errors import InvalidInputError
from policies.jobs.decision import MAXIMUM_SIGNED_JOB_DECISIONS_BYTES, SignedJobDecisions
from policies.jobs.release import MAXIMUM_SIGNED_RELEASES_BYTES, SignedReleases
from policies.jobs.terms import MAXIMUM_JOB_TERMS_BYTES, JobTerms
from policies.statements.schema import parse_model

_MAXIMUM_RUN_BYTES = 512 * 1024


class Status(StrEnum):
    """Where a job stands: received until it was tried on mock data, pending until the owner decides.

    One that runs is held when it ended, until the owner releases or withholds its outputs.
    """

    RECEIVED = "received"
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    RUNNING = "running"
    HELD = "held"
    RELEASED = "released"
    WITHHELD = "withheld"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


OPEN = (Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING, Status.HELD)
"""Statuses from which something happens by itself, or by the owner's next word."""


@dataclass(frozen=True)
class Job:
    """The snapshot of a job taken on receipt, and what became of it; `digest` is the digest of its terms."""

    digest: str
    number: int
    sender: str
    status: Status
    detail: str
    terms: JobTerms
    code_file: str | None
    dry_run: DryRun | None
    decision: SignedJobDecisions | None
    approved_at: int | None
    attempt: int
    run: Run | None
    outputs_file: str | None
    findings: str | None
    findings_seal: str | None
    release: SignedReleases | None
    tell_at: int | None
    received_at: int


def find_job(connection: Connection, digest: str) -> Job | None:
    """The job whose terms have `digest`, or None."""
    row = connection.execute(_query().where(jobs.c.digest == digest)).one_or_none()
    return None if row is None else _job(row)


def find_senders_job(connection: Connection, sender: str, job: str) -> Job | None:
    """The job that `sender` calls `job`, or None."""
    row = connection.execute(_query().where(jobs.c.sender == sender, jobs.c.job == job)).one_or_none()
    return None if row is None else _job(row)


def find_job_by_number(connection: Connection, number: int) -> Job | None:
    """The job that the owner calls `number`, or None."""
    possible = 0 < number < 2**31  # beyond, the database would fail on it
    row = connection.execute(_query().where(jobs.c.number == number)).one_or_none() if possible else None
    return None if row is None else _job(row)


def job_by_number(connection: Connection, number: int) -> Job:
    """The job that the owner calls `number`.

    Raises:
        InvalidInputError: there is none.
    """
    job = find_job_by_number(connection, number)
    if job is None:
        raise InvalidInputError(f"There is no job number {number}; «datasite requests» lists those there are.")
    return job


def all_jobs(connection: Connection) -> list[Job]:
    """Every job, oldest first."""
    return [_job(row) for row in connection.execute(_query().order_by(jobs.c.number))]


def jobs_in(connection: Connection, *statuses: Status) -> list[Job]:
    """The jobs that stand at one of `statuses`, oldest first."""
    found = _query().where(jobs.c.status.in_(statuses)).order_by(jobs.c.number)
    return [_job(row) for row in connection.execute(found)]


def releases_by_population(connection: Connection) -> Counter[str]:
    """How many jobs had outputs released that are about each population: its guarantee excludes them."""
    found = Counter[str]()
    for job in all_jobs(connection):
        released = job.status is Status.RELEASED or (
            job.release is not None and job.release.release.verdict == "release"
        )
        if job.status is Status.REVOKED:
            released = bool(went_out(connection, job.digest))
        if released and job.decision is not None:
            found.update({it.population for it in job.decision.decision.data_sets if it.population is not None})
    return found


def senders_jobs_before(connection: Connection, job: Job) -> list[Job]:
    """The jobs that the sender of `job` submitted before it, newest first."""
    found = _query().where(jobs.c.sender == job.sender, jobs.c.number < job.number).order_by(jobs.c.number.desc())
    return [_job(row) for row in connection.execute(found)]


def job_states(connection: Connection) -> tuple[tuple[str, str, str | None], ...]:
    """Every job's digest, status and release, oldest first, without reading the rest."""
    found = select(jobs.c.digest, jobs.c.status, jobs.c.release).order_by(jobs.c.number)
    return tuple(connection.execute(found).tuples())


def next_request_number(connection: Connection) -> int:
    """The number of the next request: studies and jobs are counted together."""
    newest = (connection.execute(select(func.max(table.c.number))).scalar_one() or 0 for table in (requests, jobs))
    return max(newest) + 1


def set_job_status(connection: Connection, digest: str, status: Status, detail: str) -> None:
    """Move a job to `status`; `detail` is a sentence that its researcher may read, and fits `Text`."""
    connection.execute(update(jobs).where(jobs.c.digest == digest).values(status=status.value, detail=detail))


@lru_cache(maxsize=256)
def _terms(text: str) -> JobTerms:
    return parse_model(JobTerms, text.encode(), maximum_bytes=MAXIMUM_JOB_TERMS_BYTES, what="A stored job")


def _query() -> Select[tuple[object, ...]]:
    return select(jobs)


def _job(row: Row[tuple[object, ...]]) -> Job:
    columns = row._mapping
    decision, release, run, dry_run = (columns[name] for name in ("decision", "release", "run", "dry_run"))
    return Job(
        digest=columns["digest"],
        number=columns["number"],
        sender=columns["sender"],
        status=Status(columns["status"]),
        detail=columns["detail"],
        terms=_terms(columns["terms"]),
        code_file=columns["code_file"],
        dry_run=None
        if dry_run is None
        else parse_model(DryRun, dry_run.encode(), maximum_bytes=_MAXIMUM_RUN_BYTES, what="A stored dry run"),
        decision=None
        if decision is None
        else parse_model(
            SignedJobDecisions,
            decision.encode(),
            maximum_bytes=MAXIMUM_SIGNED_JOB_DECISIONS_BYTES,
            what="A stored decision",
        ),
        approved_at=columns["approved_at"],
        attempt=columns["attempt"],
        run=None
        if run is None
        else parse_model(Run, run.encode(), maximum_bytes=_MAXIMUM_RUN_BYTES, what="A stored run"),
        outputs_file=columns["outputs_file"],
        findings=columns["findings"],
        findings_seal=columns["findings_seal"],
        release=None
        if release is None
        else parse_model(
            SignedReleases, release.encode(), maximum_bytes=MAXIMUM_SIGNED_RELEASES_BYTES, what="A stored release"
        ),
        tell_at=columns["tell_at"],
        received_at=columns["received_at"],
    )
