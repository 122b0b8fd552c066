"""`datasite requests`, `show` and `budget`: what was asked, what a decision would mean, what is left."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy import Connection

from datasites.cli.approval_view import approvals_as_json
from datasites.cli.halt_view import halts_as_json, print_halts, print_stop
from datasites.cli.job_view import job_as_json, print_job
from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import console, print_json, print_table, reporting
from datasites.cli.questions import print_questions, questions_as_json
from datasites.cli.study_view import budget_shares, partition_shares, print_study, study_as_json
from datasites.halts.halted import halts_of
from datasites.halts.stopped import standing_stop
from datasites.requests.excluded import Excluded, excluded_by_population
from datasites.requests.jobs.records import Job, all_jobs, find_job_by_number
from datasites.requests.jobs.records import Status as JobStatus
from datasites.requests.jobs.review import job_approvals, review_job
from datasites.requests.questions import questions_on
from datasites.requests.records import Request, all_requests, request_by_number
from datasites.requests.records import Status as StudyStatus
from datasites.requests.review import review, study_approvals
from datasites.site import Site
from datasites.store.data_sets import all_data_sets
from datasites.store.peers import pinned_card, require_card
from policies.budget.balance import balance, charged_epsilon
from policies.budget.costs import PARTITIONS


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(name="requests")(list_requests)
    app.command()(show)
    app.command()(budget)


def list_requests(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List every request and where it stands."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            stop = standing_stop(connection, site)
            studies = [_study_row(connection, site, it) for it in all_requests(connection)]
            jobs = [_job_row(connection, site, it) for it in all_jobs(connection)]
        found = sorted([*studies, *jobs], key=lambda row: row["number"])
        if as_json:
            print_json(found)
        else:
            print_stop(stop)
            shown = ("number", "kind", "title", "researcher", "data_set", "status", "detail")
            rows = [tuple(_cell(row, column) for column in shown) for row in found]
            print_table("Requests", ("N", "Kind", "Title", "Researcher", "Data set", "Status", "Detail"), rows)


def _study_row(connection: Connection, site: Site, request: Request) -> dict[str, Any]:
    known = request.status is StudyStatus.PENDING or request.decision is not None
    return {
        "number": request.number,
        "kind": "study",
        "study": request.terms.study,
        "title": request.terms.title,
        "researcher": require_card(connection, request.sender).name,
        "data_set": request.data_set,
        "status": request.status.value,
        "approvals": approvals_as_json(study_approvals(connection, site, request)) if known else None,
        "detail": request.detail,
    }


def _job_row(connection: Connection, site: Site, job: Job) -> dict[str, Any]:
    known = job.status is JobStatus.PENDING or job.decision is not None
    return {
        "number": job.number,
        "kind": "job",
        "job": job.terms.job,
        "title": job.terms.name,
        "researcher": require_card(connection, job.sender).name,
        "data_set": ", ".join(job.terms.data_sets),
        "status": job.status.value,
        "approvals": approvals_as_json(job_approvals(connection, site, job)) if known else None,
        "detail": job.detail,
    }


def _cell(row: Mapping[str, Any], column: str) -> str:
    approvals = row["approvals"]
    if column == "status" and row["status"] == "pending" and approvals["needed"] > 1:
        return f"pending, {len(approvals['by'])} of {approvals['needed']} approvals"
    return str(row[column])


def show(
    number: Annotated[int, typer.Argument(help="The request's number, as «requests» lists it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show one request: who, what, on which data, under which terms, what it costs, and the digest to approve."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            job = find_job_by_number(connection, number)
            if job is not None:
                shown_job = review_job(connection, site, job)
                halts, asked = halts_of(connection, site, job.digest), questions_on(connection, job.digest)
                if as_json:
                    beside = {**halts_as_json(halts), "questions": questions_as_json(asked)}
                    print_json({**job_as_json(shown_job), **beside})
                else:
                    print_job(shown_job)
                    print_questions(asked)
                    print_halts(halts)
                return
            shown = review(connection, site, request_by_number(connection, number))
            digest = shown.request.digest
            halts, asked = halts_of(connection, site, digest), questions_on(connection, digest)
            cards = {it.site: pinned_card(connection, it.site) for it in shown.request.terms.cohort}
        names = {party: "not pinned here" if card is None else card.name for party, card in cards.items()}
        names[site.identity.party] = f"{site.settings.name} (this site)"
        if as_json:
            print_json({**study_as_json(shown), **halts_as_json(halts), "questions": questions_as_json(asked)})
        else:
            print_study(shown, names)
            print_questions(asked)
            print_halts(halts)


def budget(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show what each population's lifetime budget has spent, holds in reserve, and has left."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            data_sets = all_data_sets(connection)
            balances = {it.population: balance(connection, it.population) for it in data_sets}
            excluded = excluded_by_population(connection)
            spent = {(one, part): charged_epsilon(connection, one, part) for one in balances for part in PARTITIONS}
        by_population = {it.population: it for it in data_sets}
        if as_json:
            print_json(
                [
                    {
                        "population": population,
                        "data_sets": [it.name for it in data_sets if it.population == population],
                        "epsilon": by_population[population].epsilon,
                        "delta": by_population[population].delta,
                        "excluded": asdict(excluded.get(population, Excluded())),
                        **{
                            part: {**shares, "epsilon_estimate": spent[population, part]}
                            for part, shares in budget_shares(left).items()
                        },
                    }
                    for population, left in balances.items()
                ]
            )
            return
        rows = [
            (
                ", ".join(it.name for it in data_sets if it.population == population),
                f"ε={by_population[population].epsilon:g}, δ={by_population[population].delta:g}",
                partition,
                *(f"{100 * share:.1f} %" for share in partition_shares(left, partition).values()),
                f"{spent[population, partition]:.3f}",
            )
            for population, left in balances.items()
            for partition in PARTITIONS
        ]
        columns = ("Data sets", "Lifetime budget", "People in", "Spent", "Reserved", "Left", "ε spent (estimate)")
        print_table("Privacy budget, as shares of the lifetime allowance", columns, rows)
        for population, releases in excluded.items():
            console.print(escape(f"The guarantee of {population} excludes {releases.words}."), soft_wrap=True)
