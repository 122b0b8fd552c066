"""`datasite requests`, `show` and `budget`: what was asked, what a decision would mean, what is left."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.syntax import Syntax

from datasites.cli.job_view import job_as_json, print_job
from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import console, print_facts, print_json, print_table, reporting
from datasites.requests.jobs.records import Job, all_jobs, find_job_by_number, releases_by_population
from datasites.requests.jobs.review import review_job
from datasites.requests.records import Request, Status, all_requests, request_by_number
from datasites.requests.review import Review, review
from datasites.store.data_sets import all_data_sets
from datasites.store.peers import pinned_card, require_card
from policies.budget.balance import Balance, balance, charged_epsilon
from policies.budget.costs import PARTITIONS, Cost, Partition
from policies.programs.format import parse_program


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(name="requests")(list_requests)
    app.command()(show)
    app.command()(budget)


def list_requests(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List every request and where it stands."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            studies = [_study_row(it, require_card(connection, it.sender).name) for it in all_requests(connection)]
            jobs = [_job_row(it, require_card(connection, it.sender).name) for it in all_jobs(connection)]
        found = sorted([*studies, *jobs], key=lambda row: row["number"])
        if as_json:
            print_json(found)
        else:
            shown = ("number", "kind", "title", "researcher", "data_set", "status", "detail")
            rows = [tuple(str(row[column]) for column in shown) for row in found]
            print_table("Requests", ("N", "Kind", "Title", "Researcher", "Data set", "Status", "Detail"), rows)


def _study_row(request: Request, researcher: str) -> dict[str, Any]:
    return {
        "number": request.number,
        "kind": "study",
        "study": request.terms.study,
        "title": request.terms.title,
        "researcher": researcher,
        "data_set": request.data_set,
        "status": request.status.value,
        "detail": request.detail,
    }


def _job_row(job: Job, researcher: str) -> dict[str, Any]:
    return {
        "number": job.number,
        "kind": "job",
        "job": job.terms.job,
        "title": job.terms.name,
        "researcher": researcher,
        "data_set": ", ".join(job.terms.data_sets),
        "status": job.status.value,
        "detail": job.detail,
    }


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
                if as_json:
                    print_json(job_as_json(site, shown_job))
                else:
                    print_job(site, shown_job)
                return
            shown = review(connection, site, request_by_number(connection, number))
            cards = {it.site: pinned_card(connection, it.site) for it in shown.request.terms.cohort}
        names = {party: "not pinned here" if card is None else card.name for party, card in cards.items()}
        names[site.identity.party] = f"{site.settings.name} (this site)"
        if as_json:
            print_json(_as_json(shown))
        else:
            _print(shown, names)


def budget(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show what each population's lifetime budget has spent, holds in reserve, and has left."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            data_sets = all_data_sets(connection)
            balances = {it.population: balance(connection, it.population) for it in data_sets}
            unbounded = releases_by_population(connection)
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
                        "excluded_releases": unbounded[population],
                        **{
                            part: {**shares, "epsilon_estimate": spent[population, part]}
                            for part, shares in _shares(left).items()
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
                *(f"{100 * share:.1f} %" for share in _partition_shares(left, partition).values()),
                f"{spent[population, partition]:.3f}",
            )
            for population, left in balances.items()
            for partition in PARTITIONS
        ]
        columns = ("Data sets", "Lifetime budget", "People in", "Spent", "Reserved", "Left", "ε spent (estimate)")
        print_table("Privacy budget, as shares of the lifetime allowance", columns, rows)
        for population, releases in sorted(unbounded.items()):
            excluded = f"The guarantee of {population} excludes the outputs of {releases} released jobs."
            console.print(escape(excluded), soft_wrap=True)


def _partition_shares(left: Balance, partition: Partition) -> dict[str, float]:
    units = left.of(partition)
    whole = units.allowance_units
    return {
        "spent": units.spent_units / whole,
        "reserved": units.reserved_units / whole,
        "left": units.remaining_share,
    }


def _shares(left: Balance) -> dict[Partition, dict[str, float]]:
    return {partition: _partition_shares(left, partition) for partition in PARTITIONS}


def _cost_shares(cost: Cost, left: Balance) -> dict[str, float]:
    return {partition: cost.of(partition) / left.of(partition).allowance_units for partition in PARTITIONS}


def _as_json(shown: Review) -> dict[str, Any]:
    request = shown.request
    return {
        "number": request.number,
        "status": request.status.value,
        "approval_digest": shown.approval_digest,
        "summary": shown.summary,
        "obstacles": list(shown.obstacles),
        "researcher": {"name": shown.researcher.name, "fingerprint": shown.researcher.fingerprint},
        "data_set": shown.data_set.name,
        "terms": request.terms.model_dump(mode="json"),
        "epsilon": shown.epsilon,
        "cost": _cost_shares(shown.cost, shown.balance),
        "budget": _shares(shown.balance),
        "source": request.source,
        "second_export": None if shown.second_export is None else shown.second_export.result,
        "loss_program": request.loss_program,
        "metrics_program": request.metrics_program,
    }


def _print(shown: Review, sites: Mapping[str, str]) -> None:
    request, terms = shown.request, shown.request.terms
    training, evaluation, averaging = terms.training, terms.evaluation, terms.secure_averaging
    cost, left = _cost_shares(shown.cost, shown.balance), _shares(shown.balance)
    console.print(f"[bold]Request {request.number}: {escape(terms.title)}[/] ({request.status})\n")
    console.print(escape(shown.summary) + "\n")
    print_facts(
        "Who, and why",
        {
            "Researcher": f"{shown.researcher.name} ({shown.researcher.fingerprint})",
            "Purpose": terms.purpose,
            "Recipients": terms.recipients,
            "Onward use": terms.onward_use,
            "Data set": f"{shown.data_set.name}: {shown.data_set.manifest.title}",
            "Cohort": ", ".join(f"{sites[it.site]} (weight {it.weight})" for it in terms.cohort),
        },
    )
    print_facts(
        "Terms",
        {
            "Training": f"{training.strategy}, {training.rounds} rounds × {training.local_steps} steps, at most "
            f"{training.retries} rounds repeated after a stop, learning rate {training.learning_rate:g}",
            "Privacy": f"ε={terms.privacy.epsilon:g} promised ({shown.epsilon:.3f} by its numbers), "
            f"δ={terms.privacy.delta:g}; sampling rate {training.sampling_rate:g}, noise multiplier "
            f"{training.noise_multiplier:g}, clipping norm {training.clipping_norm:g}",
            "Holdout metrics": f"{', '.join(evaluation.metrics)} of models {', '.join(map(str, evaluation.models))}, "
            f"noise multiplier {evaluation.noise_multiplier:g}"
            if evaluation.models
            else "none",
            "Secure averaging": f"at least {averaging.minimum_cohort} sites, withstands {averaging.colluders} "
            f"colluding; {averaging.bits} bits within ±{averaging.update_range:g}",
            "Deadlines": f"{terms.deadlines.round_seconds} s a round, {terms.deadlines.setup_seconds} s for the setup",
            "Ends": datetime.fromtimestamp(terms.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
    )
    rows = [
        (partition, *(f"{100 * share:.1f} %" for share in (cost[partition], *left[partition].values())))
        for partition in PARTITIONS
    ]
    columns = ("People in", "This costs at worst", "Spent", "Reserved", "Left")
    print_table(f"Cost, as shares of the lifetime budget ε={shown.data_set.epsilon:g}", columns, rows)
    for name, text in (("loss", request.loss_program), ("metrics", request.metrics_program)):
        program = parse_program(text.encode())
        operations = Counter(node.op for node in program.nodes)
        listed = ", ".join(f"{op} ×{count}" if count > 1 else op for op, count in operations.items())
        print_facts(f"The {name} program, which is what runs", {"Digest": program.digest(), "Operations": listed})
    console.print("[bold]The plan's source, for reading; it never runs here[/]")
    console.print(Syntax(request.source, "python", line_numbers=True, word_wrap=True))
    again = shown.second_export
    console.print(escape("Whether it gives these programs was not tried yet." if again is None else again.sentence))
    for obstacle in shown.obstacles:
        console.print(f"[bold red]✗[/] {escape(obstacle)}")
    if request.status is Status.PENDING and not shown.obstacles:
        console.print(f"To approve exactly this:  datasite approve {shown.approval_digest}", soft_wrap=True)
