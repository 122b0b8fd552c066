"""Try a job on mock data before its owner is asked: does it run, how long, with how much memory, what does it write."""

from sqlalchemy import update

from datasites.execution.jobs.collected import facts_of, lines_of
from datasites.execution.jobs.errands import dry_run_errand
from datasites.execution.jobs.zygotes import Zygotes
from datasites.halts.stopped import is_stopped
from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.records import Job, Status, find_job, set_job_status
from datasites.requests.jobs.runs import DryRun
from datasites.requests.jobs.tell import WAITS
from datasites.requests.look_through import job_findings, log_review
from datasites.sandbox.errand import Cancel, Outcome
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.file_sets import find_file_set
from datasites.store.tables import jobs
from policies.log.entries import LogEntry
from policies.log.job_entries import JobTried
from policies.log.journal import append
from policies.rules.job_rules import JobRules

_PRINTED_CHARACTERS = 20_000


def try_job(site: Site, job: Job, rules: JobRules, zygotes: Zygotes, cancel: Cancel) -> None:
    """Run the job on mock data; whatever came of it, the job then waits for its owner, unless it was stopped meanwhile.

    Raises:
        NotAuthenticError: what is stored is not what was received.
        RefusedError: this machine cannot shut a job off well enough.
    """
    with reading(site.engine) as connection:
        file_sets = [it for name in job.terms.data_sets if (it := find_file_set(connection, name)) is not None]
    errand = dry_run_errand(site, job, file_sets, rules)
    with zygotes.of(job.sender) as zygote:
        outcome = zygote.run(errand, lambda _piece: None, cancel)
    if outcome.ending == "cancelled":  # the job was closed; or the datasite stops, and tries it anew when it starts
        return
    report, findings = _report(outcome), job_findings(code_of(site, job))
    with site.engine.begin() as connection:
        stored = find_job(connection, job.digest)
        if stored is None or stored.status is not Status.RECEIVED:
            return
        if is_stopped(connection, site):
            return  # it is tried anew when the site goes on
        written = {"dry_run": report.canonical().decode()}
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(written))
        set_job_status(connection, job.digest, Status.PENDING, WAITS)
        entry: LogEntry = JobTried(at=site.now, request=job.digest, report=report.digest(), layers=outcome.layers)
        append(connection, entry)
        log_review(connection, job.digest, findings, site.now)


def _report(outcome: Outcome) -> DryRun:
    return DryRun(
        ending=outcome.ending,
        error=outcome.error,
        files=facts_of(outcome),
        left_out=outcome.left_out,
        printed=lines_of(outcome)[-_PRINTED_CHARACTERS:],
        wall_seconds=outcome.wall_seconds,
        cpu_seconds=outcome.cpu_seconds,
        peak_memory_bytes=outcome.peak_memory_bytes,
        layers=outcome.layers,
    )
