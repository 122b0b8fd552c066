"""`datasite log export` and `verify`: hand the log to an auditor, and check one that was handed over."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import console, print_json, reporting, say
from datasites.cli.peers import read_card
from datasites.protocol.identity import parse_card
from datasites.protocol.private_files import read_given_file, write_private_file
from policies.errors import InvalidInputError
from policies.log.bundle import MAXIMUM_BUNDLE_BYTES, SiteFacts
from policies.log.journal import export_bundle
from policies.log.verify import Pinned, verify_bundle

app = typer.Typer(help="Export the log for an auditor.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group, and `verify` beside it."""
    parent.add_typer(app, name="log")
    parent.command()(verify)


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log and a signed checkpoint to one file that anybody can verify offline."""
    with reporting(as_json):
        site = site_at(home)
        card, log_key = site.identity.card, site.identity.log
        if log_key is None:
            raise InvalidInputError("This identity has no log key; a datasite's has one.")
        facts = SiteFacts(
            name=card.name, signing_key=card.signing_key, log_key=card.log_key or "", owner_key=card.owner_key or ""
        )
        with site.engine.begin() as connection:
            content = export_bundle(connection, log_key, facts)
        write_private_file(bundle.expanduser().absolute(), content)
        if as_json:
            print_json({"bundle": str(bundle), "bytes": len(content)})
        else:
            say(f"The log is in {bundle}; «datasite verify {bundle}» checks it anywhere.")


def verify(
    bundle: Annotated[Path, typer.Argument(help="An exported log.")],
    card: Annotated[
        Path | None, typer.Option(help="The site's card as handed over in person; without it the keys are not proved.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an exported log offline and say what was proved; exits with 1 if anything does not hold."""
    with reporting(as_json):
        content = read_given_file(bundle, maximum_bytes=MAXIMUM_BUNDLE_BYTES, what="The bundle")
        pinned = Pinned()
        if card is not None:
            shown = parse_card(read_card(card))
            pinned = Pinned(bytes.fromhex(shown.log_key or ""), bytes.fromhex(shown.owner_key or ""))
        report = verify_bundle(content, pinned)
        if as_json:
            print_json(asdict(report))
        else:
            for sentence in report.proved:
                console.print(f"[bold green]✓ proved[/]      {escape(sentence)}")
            for sentence in report.not_proved:
                console.print(f"[bold yellow]· not proved[/]  {escape(sentence)}")
            for found in report.broken:
                place = "the bundle" if found.position is None else f"entry {found.position}"
                console.print(f"[bold red]✗ broken[/]      {place}: {escape(found.reason)}")
        if report.broken:
            raise typer.Exit(1)
