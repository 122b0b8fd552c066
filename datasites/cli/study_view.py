"""What `datasite show` prints of a study: summary, what changed, findings, cost, then terms, programs and source."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.syntax import Syntax

from datasites.cli.approval_view import approvals_as_json, approvals_in_words
from datasites.cli.output import console, print_facts, print_table
from datasites.cli.review_view import print_difference, print_findings, print_sentences, review_as_json
from datasites.requests.look_through import programs_of
from datasites.requests.records import Status
from datasites.requests.review import Review
from policies.budget.balance import Balance
from policies.budget.costs import PARTITIONS, Cost, Partition
from policies.programs.tokeniser import Tokens
from policies.review.words import steps_in_words


def partition_shares(left: Balance, partition: Partition) -> dict[str, float]:
    """What a partition has spent, holds in reserve and has left, each as a share of its lifetime allowance."""
    units = left.of(partition)
    whole = units.allowance_units
    return {
        "spent": units.spent_units / whole,
        "reserved": units.reserved_units / whole,
        "left": units.remaining_share,
    }


def budget_shares(left: Balance) -> dict[Partition, dict[str, float]]:
    """The same of both partitions."""
    return {partition: partition_shares(left, partition) for partition in PARTITIONS}


def _cost_shares(cost: Cost, left: Balance) -> dict[str, float]:
    return {partition: cost.of(partition) / left.of(partition).allowance_units for partition in PARTITIONS}


def study_as_json(shown: Review) -> dict[str, Any]:
    """Everything about a study, for programs."""
    request = shown.request
    return {
        "number": request.number,
        "status": request.status.value,
        "approval_digest": shown.approval_digest,
        "approvals": approvals_as_json(shown.approvals),
        "summary": shown.summary,
        **review_as_json(shown.difference, shown.findings),
        "facts": shown.facts.model_dump(mode="json"),
        "outlook": None if shown.outlook is None else shown.outlook.model_dump(mode="json"),
        "obstacles": list(shown.obstacles),
        "researcher": {"name": shown.researcher.name, "fingerprint": shown.researcher.fingerprint},
        "data_set": shown.data_set.name,
        "machines": _machines(shown),
        "terms": request.terms.model_dump(mode="json"),
        "epsilon": shown.epsilon,
        "cost": _cost_shares(shown.cost, shown.balance),
        "budget": budget_shares(shown.balance),
        "source": request.source,
        "second_export": None if shown.second_export is None else shown.second_export.result,
        "loss_program": request.loss_program,
        "metrics_program": request.metrics_program,
    }


def print_study(shown: Review, sites: Mapping[str, str]) -> None:
    """Everything about a study, for its owner: a paragraph, what changed, findings and cost, then the whole."""
    request, terms = shown.request, shown.request.terms
    training, evaluation, averaging = terms.training, terms.evaluation, terms.secure_averaging
    measured = (*evaluation.metrics, *(f"{it.name} scores in {it.bins} bins" for it in evaluation.histograms))
    console.print(f"[bold]Request {request.number}: {escape(terms.title)}[/] ({request.status})\n")
    console.print(escape(shown.summary) + "\n")
    print_difference(shown.difference)
    print_findings(shown.findings)
    again = shown.second_export
    print_sentences(
        "What runs and what leaves",
        (
            *shown.facts.sentences(),
            "Whether the source gives these programs was not tried yet." if again is None else again.sentence,
        ),
    )
    _print_cost(shown)
    print_facts(
        "Who, and why",
        {
            "Researcher": f"{shown.researcher.name} ({shown.researcher.fingerprint})",
            "Purpose": terms.purpose,
            "Legal basis": terms.legal_basis,
            "Recipients": terms.recipients,
            "Onward use": terms.onward_use,
            "Replaces": "nothing" if terms.supersedes is None else f"request {terms.supersedes[:16]}…",
            "Data set": f"{shown.data_set.name}: {shown.data_set.manifest.title}",
            "Trained on": "this machine" if _machines(shown) == 1 else f"{_machines(shown)} machines of this site",
            "Cohort": ", ".join(f"{sites[it.site]} (weight {it.weight})" for it in terms.cohort),
        },
    )
    print_facts(
        "Terms",
        {
            "Training": f"{training.strategy}, {training.rounds} rounds × {training.local_steps} steps, at most "
            f"{training.retries} rounds repeated after a stop; {steps_in_words(training)}",
            "Privacy": f"{_promise(shown)}; sampling rate {training.sampling_rate:g}, noise multiplier "
            f"{training.noise_multiplier:g}, clipping norm {training.clipping_norm:g}",
            "Holdout metrics": f"{', '.join(measured)} of models {', '.join(map(str, evaluation.models))}, "
            f"noise multiplier {evaluation.noise_multiplier:g}"
            if evaluation.models
            else "none",
            "Texts": _texts(terms.programs.tokens),
            "Secure averaging": f"at least {averaging.minimum_cohort} sites, withstands {averaging.colluders} "
            f"colluding; {averaging.bits} bits within ±{averaging.update_range:g}",
            "Deadlines": f"{terms.deadlines.round_seconds} s a round, {terms.deadlines.setup_seconds} s for the setup",
            "Ends": datetime.fromtimestamp(terms.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
    )
    for name, program in programs_of(request).items():
        operations = Counter(node.op for node in program.nodes)
        listed = ", ".join(f"{op} ×{count}" if count > 1 else op for op, count in operations.items())
        print_facts(f"The {name} program, which is what runs", {"Digest": program.digest(), "Operations": listed})
    console.print("[bold]The plan's source, for reading; it never runs here[/]")
    console.print(Syntax(request.source, "python", line_numbers=True, word_wrap=True))
    for obstacle in shown.obstacles:
        console.print(f"[bold red]✗[/] {escape(obstacle)}")
    if shown.approvals.by:
        console.print(escape(f"It has {approvals_in_words(shown.approvals)}."), soft_wrap=True)
    if request.status is Status.PENDING and not shown.obstacles:
        console.print(f"To approve exactly this:  datasite approve {shown.approval_digest}", soft_wrap=True)


def _machines(shown: Review) -> int:
    return shown.house_rules.rules.machines_for(shown.data_set.name)


def _texts(tokens: Tokens | None) -> str:
    if tokens is None:
        return "none"
    return (
        f"each read as {tokens.length} tokens out of {tokens.vocabulary:,}, by the tokeniser with the digest "
        f"{tokens.tokeniser[:16]}…, which is data and no code"
    )


def _promise(shown: Review) -> str:
    privacy = shown.request.terms.privacy
    if privacy is None or shown.epsilon is None:
        return "NO GUARANTEE: no noise is added, and the data set's own guarantee excludes this study"
    return f"ε={privacy.epsilon:g} promised ({shown.epsilon:.3f} by its numbers), δ={privacy.delta:g}"


def _print_cost(shown: Review) -> None:
    cost, left = _cost_shares(shown.cost, shown.balance), budget_shares(shown.balance)
    rows = [
        (partition, *(f"{100 * share:.1f} %" for share in (cost[partition], *left[partition].values())))
        for partition in PARTITIONS
    ]
    columns = ("People in", "This costs at worst", "Spent", "Reserved", "Left")
    print_table(f"Cost, as shares of the lifetime budget ε={shown.data_set.epsilon:g}", columns, rows)
    if shown.outlook is not None:
        print_sentences("After it", shown.outlook.sentences())
