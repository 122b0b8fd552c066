"""The requests that came so far, as the linter of house rules sees them: each as it stood when it was decided on."""

from sqlalchemy import Connection, select

from datasites.requests.asked import asked_job
from datasites.requests.jobs.records import Job, all_jobs
from datasites.requests.records import Request, Status, all_requests
from datasites.site import Site
from datasites.store.data_sets import DataSet, all_data_sets
from datasites.store.file_sets import all_file_sets
from policies.budget.tables import reservations
from policies.rules.check import PastJob, PastStudy

_STANDS = (Status.APPROVED, Status.RUNNING, Status.DONE)


def past_requests(connection: Connection, site: Site) -> tuple[list[PastStudy], list[PastJob]]:
    """Every study and every job, oldest first; what nobody decided on is seen as if it were decided on now."""
    now = site.moment(connection)
    data_sets = {it.name: it for it in all_data_sets(connection)}
    approved = {row.request: row.opened_at for row in connection.execute(select(reservations)).all()}
    studies = [_study(it, data_sets[it.data_set], approved.get(it.digest), now) for it in all_requests(connection)]
    return studies, [_job(connection, it, now) for it in all_jobs(connection)]


def known_names(connection: Connection) -> set[str]:
    """The names of all data sets and sets of files that a rule can be about."""
    return {it.name for it in all_data_sets(connection)} | {it.name for it in all_file_sets(connection)}


def _study(request: Request, data_set: DataSet, approved_at: int | None, now: int) -> PastStudy:
    decided_at = now if request.decision is None else request.decision.decision.decided_at
    return PastStudy(
        number=request.number,
        title=request.terms.title,
        terms=request.terms,
        data_set=data_set.name,
        population=data_set.population,
        delta=data_set.delta,
        filter_order=data_set.filter_order,
        received_at=request.received_at,
        decided_at=decided_at if approved_at is None else approved_at,
        approved_by=None if approved_at is None else "person" if request.ground is None else "rules",
        stands=request.status in _STANDS,
    )


def _job(connection: Connection, job: Job, now: int) -> PastJob:
    wanted = tuple(it for it in all_file_sets(connection) if it.name in job.terms.data_sets)
    decided_at = now if job.decision is None else job.decision.decision.decided_at
    return PastJob(job.number, job.terms.name, asked_job(connection, job, wanted), decided_at)
