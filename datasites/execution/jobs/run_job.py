"""Run an approved job: once for each approval, on exactly what was approved, whatever stops in the middle."""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, update

from datasites.execution.jobs.collected import Sink, facts_of, with_logs
from datasites.execution.jobs.errands import run_errand
from datasites.execution.jobs.zygotes import Zygotes
from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import is_stopped
from datasites.people.taken import require_taken
from datasites.requests.jobs.outputs import output_commitment
from datasites.requests.jobs.records import Job, Status, find_job, jobs_in, set_job_status
from datasites.requests.jobs.review import draft_job_decision
from datasites.requests.jobs.runs import Run
from datasites.requests.jobs.tell import tell_time
from datasites.sandbox.errand import Cancel, Outcome
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.contents import Piece
from datasites.store.file_sets import FileSet, require_file_set
from datasites.store.tables import jobs
from datasites.witnesses.hear import is_set_back
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.jobs.decision import verify_job_decisions
from policies.jobs.endings import Ending, told_milliseconds
from policies.log.entries import LogEntry
from policies.log.job_entries import JobDecided, JobEnded, JobStarted
from policies.log.journal import append

_NOT_RUN = "This site could not run the job; its owner knows why."
STOPPED = "The datasite was stopped while the job ran; nothing of it was kept. Its owner may let it run again."


@dataclass(frozen=True)
class Begun:
    """An execution that stands in the database as begun: whatever becomes of it, it is not begun again."""

    job: Job
    file_sets: tuple[FileSet, ...]
    started: float
    """Seconds since 1970."""


def begin_next_job(site: Site) -> Begun | None:
    """Begin the oldest approved job, after its approval was checked once more; None if none waits.

    One whose approval does not cover what is stored now has failed, and is not run.
    """
    with site.engine.begin() as connection:
        if is_set_back(connection) or is_stopped(connection, site):
            return None
        for job in jobs_in(connection, Status.APPROVED):
            try:
                file_sets = _require_approval(connection, site, job)
            except CloisterError as error:
                report(f"Job {job.number} is not run: {error}")
                _fail(connection, site, job, _NOT_RUN)
                continue
            return Begun(_begin(connection, site, job), file_sets, site.clock())
    return None


def run_job(site: Site, begun: Begun, zygotes: Zygotes, cancel: Cancel) -> None:
    """Run what was begun, and keep what it wrote for the inspection."""
    job, hasher = begun.job, sha256()

    def fill(write: Sink) -> Outcome:
        def keep(piece: Piece) -> None:
            hasher.update(piece)
            write(piece)

        with run_errand(site, job, begun.file_sets) as errand, zygotes.of(job.sender) as zygote:
            return with_logs(lambda sink: zygote.run(errand, sink, cancel), keep)

    try:
        with site.contents.filled(fill) as (name, outcome):
            if outcome.ending == "cancelled":  # by a closed job, or because the datasite stops
                end_without_outputs(site, job, "cancelled", STOPPED)
            else:
                _end(site, begun, outcome, hasher.digest(), name)
    except CloisterError as error:
        report(f"Job {job.number} could not be run: {error}")
        end_without_outputs(site, job, "interrupted", _NOT_RUN)


def end_without_outputs(site: Site, job: Job, ending: Ending, detail: str) -> None:
    """An execution gave nothing: it has failed, unless it was cancelled meanwhile."""
    with site.engine.begin() as connection:
        entry: LogEntry = JobEnded(
            at=site.now,
            request=job.digest,
            attempt=job.attempt,
            ending=ending,
            commitment=None,
            milliseconds=0,
            layers=(),
        )
        append(connection, entry)
        stored = find_job(connection, job.digest)
        if stored is not None and stored.status is Status.RUNNING:
            _fail(connection, site, stored, detail)


def _fail(connection: Connection, site: Site, job: Job, detail: str) -> None:
    set_job_status(connection, job.digest, Status.FAILED, detail)
    due = {"tell_at": tell_time(site, job)}
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(due))


def _begin(connection: Connection, site: Site, job: Job) -> Job:
    attempt = job.attempt + 1
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(attempt=attempt))
    set_job_status(connection, job.digest, Status.RUNNING, "The job runs.")
    entry: LogEntry = JobStarted(at=site.now, request=job.digest, attempt=attempt)
    append(connection, entry)
    return find_job(connection, job.digest) or job


def _require_approval(connection: Connection, site: Site, job: Job) -> tuple[FileSet, ...]:
    """The sets of files in view, if enough people approved the next execution of the job as everything stands now.

    Raises:
        NotAuthenticError: the stored decision does not cover what is stored beside it.
        RefusedError: the approval has expired, or was revoked.
        InvalidInputError: a set of files is gone.
    """
    if job.decision is None:
        raise NotAuthenticError("It stands as approved without a decision.")
    require_not_revoked(connection, site, job.digest)
    decision = verify_job_decisions(job.decision, site.owner_key, job.terms.researcher)
    stated = [(it, JobDecided(at=it.decision.decided_at, signed=it)) for it in job.decision.signed]
    require_taken(connection, site, stated, decision.approvals, lambda rules: rules.jobs, decision.house_rules)
    stored = draft_job_decision(
        connection,
        site,
        job,
        release=decision.release,
        approvals=decision.approvals,
        house_rules=decision.house_rules,
        verdict="approve",
        reason="as stored",
        now=0,
    )
    if decision.verdict != "approve" or decision.subject() != stored.subject():
        raise NotAuthenticError("The stored approval does not cover this job and these files.")
    if job.terms.digest() != job.digest or job.terms.researcher != job.sender:
        raise NotAuthenticError("The stored terms are not the ones that were received.")
    if site.moment(connection) >= min(decision.expires_at, job.terms.expires_at):
        raise RefusedError("The approval has expired.")
    return tuple(require_file_set(connection, name) for name in job.terms.data_sets)


def _end(site: Site, begun: Begun, outcome: Outcome, sha256_of_bytes: bytes, outputs_file: str) -> None:
    job = begun.job
    facts = facts_of(outcome)
    commitment = output_commitment(site, job.digest, job.attempt, sha256_of_bytes, facts)
    elapsed = told_milliseconds((site.clock() - begun.started) * 1000)
    run = Run(
        attempt=job.attempt,
        ending=outcome.ending,
        error=outcome.error,
        files=facts,
        left_out=outcome.left_out,
        commitment=commitment,
        wall_seconds=outcome.wall_seconds,
        cpu_seconds=outcome.cpu_seconds,
        peak_memory_bytes=outcome.peak_memory_bytes,
        milliseconds=elapsed,
        layers=outcome.layers,
    )
    entry: LogEntry = JobEnded(
        at=site.now,
        request=job.digest,
        attempt=job.attempt,
        ending=outcome.ending,
        commitment=commitment,
        milliseconds=elapsed,
        layers=outcome.layers,
    )
    with site.engine.begin() as connection:
        append(connection, entry)
        stored = find_job(connection, job.digest)
        if stored is None or stored.status is not Status.RUNNING or stored.attempt != job.attempt:
            return  # it was cancelled: what it wrote is forgotten
        values = {"run": run.canonical().decode(), "outputs_file": outputs_file}
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(values))
