"""`datasite files`: offer files to jobs, say who may see their mock ones, and list them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from datasites.catalog.file_sets import register_file_set, share_file_set
from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_json, print_table, reporting, say
from datasites.site import Site
from datasites.store.data_sets import require_data_set
from datasites.store.engine import reading
from datasites.store.file_sets import FileSet, all_file_sets
from datasites.store.waking import wake
from policies.errors import InvalidInputError

app = typer.Typer(help="Offer files to analysis jobs; they stay where they lie.", no_args_is_help=True)

EverybodyOption = Annotated[bool, typer.Option("--everybody", help="Let every pinned researcher see it.")]
ToOption = Annotated[
    list[str] | None, typer.Option("--to", help="The accepted address of a researcher who may see it; repeat it.")
]


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="files")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What researchers call it in their code.")],
    private: Annotated[Path, typer.Argument(help="The private file, or a folder of files; read, never copied.")],
    summary: Annotated[str, typer.Option(help="What is in it, for researchers to read.")],
    mock: Annotated[
        Path | None, typer.Option(help="Made-up files of the same shape; with --people-of they can be drawn.")
    ] = None,
    people_of: Annotated[
        str | None,
        typer.Option(help="The data set whose people these files are about: releases then count against its promise."),
    ] = None,
    everybody: EverybodyOption = False,
    to: ToOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Offer files to jobs, or take a set's files as they are now."""
    with reporting(as_json), TemporaryDirectory() as drawn:
        site = site_at(home)
        shown = mock if mock is not None else _drawn(site, people_of, private, Path(drawn))
        file_set = register_file_set(
            site,
            name=name,
            summary=summary,
            readme="",
            tags=(),
            mock=shown,
            private=private,
            everybody=everybody,
            contacts=to or (),
            people_of=people_of,
        )
        wake(site.home)
        _tell(file_set, as_json)


@app.command()
def share(
    name: Annotated[str, typer.Argument(help="The set of files.")],
    everybody: EverybodyOption = False,
    to: ToOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say anew who may see a set of files; without options nobody may."""
    with reporting(as_json):
        site = site_at(home)
        file_set = share_file_set(site, name, everybody=everybody, contacts=to or ())
        wake(site.home)
        _tell(file_set, as_json)


@app.command(name="list")
def list_files(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the sets of files."""
    with reporting(as_json):
        with reading(site_at(home).engine) as connection:
            found = all_file_sets(connection)
        if as_json:
            print_json([_facts(it) for it in found])
            return
        rows = [
            (
                it.name,
                it.card.summary,
                ", ".join(file.path for file in it.card.private),
                "everybody" if it.shared_with_all else ", ".join(it.contacts) or "nobody",
                it.population or "none: no privacy budget covers it",
            )
            for it in found
        ]
        print_table("Files that jobs may see", ("Name", "Summary", "Private files", "Shown to", "Population"), rows)


def _drawn(site: Site, people_of: str | None, private: Path, folder: Path) -> Path:
    """A mock drawn from the manifest of the data set that the files are about."""
    if people_of is None:
        raise InvalidInputError("Name mock files with --mock, or a data set with --people-of to draw some from.")
    if private.suffix.lower() != ".csv":
        raise InvalidInputError(
            f"A mock can be drawn for a CSV table only; make one up for {private.name} with --mock."
        )
    with reading(site.engine) as connection:
        mock = require_data_set(connection, people_of).mock
    file = folder / private.name
    file.write_text(mock)
    return file


def _tell(file_set: FileSet, as_json: bool) -> None:
    if as_json:
        print_json(_facts(file_set))
    else:
        seen = "everybody who is pinned" if file_set.shared_with_all else ", ".join(file_set.contacts) or "nobody"
        say(f"«{file_set.name}» is offered to jobs; its mock files are shown to {seen}.")


def _facts(file_set: FileSet) -> dict[str, object]:
    return {
        "name": file_set.name,
        "summary": file_set.card.summary,
        "commitment": file_set.commitment,
        "population": file_set.population,
        "everybody": file_set.shared_with_all,
        "contacts": list(file_set.contacts),
        "private": [file.path for file in file_set.card.private],
    }
