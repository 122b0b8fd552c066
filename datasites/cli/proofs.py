"""What commands that check proofs share: cards and checkpoints that the auditor brings, and the report they print."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from datasites.cli.output import console, print_json
from datasites.cli.peers import read_card
from datasites.protocol.identity import parse_card
from datasites.protocol.private_files import read_given_file
from policies.errors import InvalidInputError
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES
from policies.log.cosignature import Cosigner
from policies.log.verify import Pinned, Report

WitnessOption = Annotated[
    list[Path] | None, typer.Option("--witness", help="The card of a party that may have cosigned; may be repeated.")
]
CheckpointOption = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A checkpoint of this log that somebody else was shown; may be repeated."),
]


def read_pinned(card: Path | None, witnesses: Sequence[Path], checkpoints: Sequence[Path]) -> Pinned:
    """What the auditor brings: the site's card, cards of witnesses, and checkpoints from elsewhere.

    Raises:
        InvalidInputError, NotAuthenticError: a file is not what it should be.
    """
    site = None if card is None else parse_card(read_card(card))
    if site is not None and not (site.log_key and site.owner_key):
        raise InvalidInputError("The card is not a datasite's: it names no log key and no owner's key.")
    others = [parse_card(read_card(path)) for path in witnesses]
    return Pinned(
        log_key=None if site is None else bytes.fromhex(site.log_key or ""),
        owner_key=None if site is None else bytes.fromhex(site.owner_key or ""),
        checkpoints=[
            read_given_file(path, maximum_bytes=MAXIMUM_CHECKPOINT_BYTES, what="The checkpoint") for path in checkpoints
        ],
        witnesses=[Cosigner.of(it) for it in others],
    )


def show_report(report: Report, as_json: bool) -> None:
    """Print what was proved, what was not and what is broken; ends the command with 1 if anything is broken."""
    if as_json:
        print_json(asdict(report))
    else:
        for sentence in report.proved:
            console.print(f"[bold green]✓ proved[/]      {escape(sentence)}")
        for sentence in report.not_proved:
            console.print(f"[bold yellow]· not proved[/]  {escape(sentence)}")
        for found in report.broken:
            place = "the whole" if found.position is None else f"entry {found.position}"
            console.print(f"[bold red]✗ broken[/]      {place}: {escape(found.reason)}")
    if report.broken:
        raise typer.Exit(1)
