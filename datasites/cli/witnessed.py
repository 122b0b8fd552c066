"""`datasite witnessed`: what this site keeps of others' logs, for their auditors, and evidence of two histories."""

from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_json, print_table, reporting, say
from datasites.protocol.private_files import write_private_file
from datasites.store.engine import reading
from datasites.store.peers import pinned_cards
from datasites.witnesses import histories
from datasites.witnesses.export import held_of_others
from policies.errors import InvalidInputError

app = typer.Typer(help="Show and hand out what this site keeps of other sites' logs.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="witnessed")


_STANDING = {
    "kept": "kept and cosigned",
    "unproved": "shown by somebody else; not shown yet that the log continues it",
    "first": "TWO HISTORIES: the one",
    "second": "TWO HISTORIES: the other",
}


@app.command(name="list")
def list_witnessed(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the checkpoints of other sites' logs that are held here, and any evidence of two histories."""
    with reporting(as_json):
        site = site_at(home)
        with reading(site.engine) as connection:
            held = held_of_others(connection, site)
        if as_json:
            print_json([{"name": it.name, "party": it.party, "standing": it.standing, "size": it.size} for it in held])
        else:
            rows = [(it.name, str(it.size), _STANDING[it.standing]) for it in held]
            print_table("Checkpoints of other sites' logs", ("Site", "Entries", "Standing"), rows)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write one file for each checkpoint.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write every checkpoint held of others to a file of its own: «datasite verify --checkpoint» compares it."""
    with reporting(as_json):
        site, target = site_at(home), folder.expanduser().absolute()
        with reading(site.engine) as connection:
            held = held_of_others(connection, site)
        target.mkdir(parents=True, exist_ok=True)
        files = [target / f"{it.party[:16]}-{it.standing}.checkpoint" for it in held]
        for file, it in zip(files, held, strict=True):
            write_private_file(file, it.note)
        if as_json:
            print_json([{"file": str(file), "name": it.name} for file, it in zip(files, held, strict=True)])
        else:
            say(f"{len(files)} checkpoints are in {folder}; give them to the auditors of their sites.")


@app.command()
def settle(
    name: Annotated[str, typer.Argument(help="The site, as its card names it.")],
    reason: Annotated[str, typer.Option(help="What its owner explained; it stands in the log.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Run studies again with a site whose log had two histories, after its owner explained why."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            card = next((it for it in pinned_cards(connection) if it.name == name), None)
            if card is None:
                raise InvalidInputError(f"Nobody called «{name}» is pinned here; «datasite peers list» names them.")
            histories.settle(connection, card, reason, site.now)
        if as_json:
            print_json({"name": name, "party": card.party})
        else:
            say(f"Studies with «{name}» run again; the evidence stays in the log.")
