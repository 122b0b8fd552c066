"""A request as the house rules see it: beside what was approved before, and with all names of data on its people."""

from sqlalchemy import Connection, select

from datasites.requests.jobs.records import Job
from datasites.requests.records import Request, find_request
from datasites.store.data_sets import all_data_sets, require_data_set
from datasites.store.file_sets import FileSet, all_file_sets
from datasites.store.tables import requests
from policies.budget.tables import reservations
from policies.rules.approved import Approved
from policies.rules.house_rules import HouseRules
from policies.rules.jobs import AskedJob
from policies.rules.studies import AskedStudy


def asked_study(connection: Connection, request: Request, rules: HouseRules, now: int) -> AskedStudy:
    """The study with what counts against it at `now`; what was approved before is not counted where no rule asks."""
    data_set = require_data_set(connection, request.data_set)
    approved = approved_so_far(connection, but_for=request.digest) if counts_approvals(rules) else Approved()
    return AskedStudy(
        terms=request.terms,
        data_set=data_set.name,
        received_at=request.received_at,
        delta=data_set.delta,
        before=approved.before(rules, data_set.population, request.terms.researcher, now),
    )


def asked_job(connection: Connection, job: Job, file_sets: tuple[FileSet, ...]) -> AskedJob:
    """The job with the names of what it sees, and of the data sets whose people that is about."""
    people = {it.population for it in file_sets if it.population is not None}
    tables = (it.name for it in all_data_sets(connection) if it.population in people)
    files = (it.name for it in all_file_sets(connection) if it.population in people)
    about = sorted({*tables, *files} - set(job.terms.data_sets))
    waiting = job.decision is None
    return AskedJob(job.terms, (*job.terms.data_sets, *about), job.received_at if waiting else None)


def counts_approvals(rules: HouseRules) -> bool:
    """Whether any rule counts what was approved before."""
    counted = (rules.maximum_epsilon_per_researcher, rules.maximum_epsilon_per_quarter, rules.auto_approval)
    return any(it is not None for it in counted)


def approved_so_far(connection: Connection, but_for: str) -> Approved:
    """All studies that were approved here, whatever became of them, but for one: each has had its reservation."""
    held = select(reservations).join(requests, requests.c.digest == reservations.c.request)
    approved = Approved()
    for row in connection.execute(held.where(reservations.c.request != but_for)).all():
        request = find_request(connection, row.request)
        if request is not None:
            approved.add(row.population, request.terms, row.opened_at, automatic=request.ground is not None)
    return approved
