"""What `datasite show` prints, and gives to programs, of a review: what changed, what was found, what it would cost."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from datasites.cli.output import console, print_table
from policies.review.differences import Difference
from policies.review.findings import THEY_INFORM, Findings


def print_difference(found: Difference | None) -> None:
    """What changed against the last approved request of the same researcher."""
    console.print("[bold]What changed[/]")
    if found is None:
        console.print("Nothing of this researcher was approved here before: there is nothing to compare it with.\n")
        return
    console.print(escape(found.sentence))
    for change in found.changes:
        console.print(f"  · [dim]{change.part}[/] {escape(change.sentence)}")
    if found.more:
        console.print(f"  · and {found.more:,} changes more")
    console.print()


def print_findings(found: Findings | None) -> None:
    """Where to look, what weighs most first, and what to ask the researcher."""
    if found is None:
        console.print("[bold]What was found[/]\nThe code is not kept any more.\n")
        return
    if found.found:
        rows = [
            (it.severity, it.place if it.line is None else f"{it.place}:{it.line}", it.sentence, it.ask)
            for it in found.found
        ]
        more = f", and {found.more:,} more" if found.more else ""
        print_table(f"What was found{more}", ("", "Where", "Finding", "What to ask"), rows)
    else:
        console.print("[bold]What was found[/]\nNothing that stands out.")
    console.print(THEY_INFORM + "\n")


def print_sentences(title: str, sentences: Sequence[str]) -> None:
    """A heading, and a paragraph for each sentence."""
    console.print(f"[bold]{escape(title)}[/]")
    for sentence in sentences:
        console.print(escape(sentence))
    console.print()


def review_as_json(difference: Difference | None, findings: Findings | None) -> dict[str, Any]:
    """The same for programs; with the digest by which the log names the findings."""
    return {
        "difference": None
        if difference is None
        else {"sentence": difference.sentence, **difference.model_dump(mode="json")},
        "review": None
        if findings is None
        else {"digest": findings.digest(), "informs": THEY_INFORM, **findings.model_dump(mode="json")},
    }
