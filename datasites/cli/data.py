"""`datasite data`: register data sets, and list them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from datasites.catalog.registration import register_data_set
from datasites.catalog.sql_source import SqlQuery
from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import console, print_json, print_table, reporting, say
from datasites.requests.excluded import Excluded, excluded_by_population
from datasites.store.data_sets import DataSet, all_data_sets
from datasites.store.waking import wake
from policies.errors import InvalidInputError

app = typer.Typer(help="Register data sets, and list them.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="data")


@app.command()
def add(
    manifest: Annotated[Path, typer.Argument(help="The manifest, TOML: what anybody may know of the data.")],
    table: Annotated[str, typer.Argument(help="The private table, CSV, Parquet or .npz; or a database's URL.")],
    epsilon: Annotated[float, typer.Option(help="Lifetime budget ε of the people in it; it never changes.")],
    query: Annotated[str | None, typer.Option(help="What to read from it: a table's name, or one SELECT.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Freeze a private table as a data set, and draw its mock data from the manifest alone."""
    with reporting(as_json):
        site = site_at(home)
        data_set = register_data_set(site, manifest, _source(table, query), epsilon)
        wake(site.home)
        if as_json:
            print_json(_facts(data_set))
        else:
            say(
                f"«{data_set.name}» is registered under {data_set.population}: lifetime ε={data_set.epsilon:g} at "
                f"δ={data_set.delta:g}."
            )


def _source(table: str, query: str | None) -> Path | SqlQuery:
    if query is not None:
        return SqlQuery(table, query)
    if "://" in table:  # not repeated: people write passwords into URLs
        raise InvalidInputError("A database's URL says not what to read there; add --query with a table or one SELECT.")
    return Path(table).expanduser()


@app.command(name="list")
def list_data_sets(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the registered data sets."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            found, excluded = all_data_sets(connection), excluded_by_population(connection)
        if as_json:
            print_json([{**_facts(it), "excluded": asdict(excluded.get(it.population, Excluded()))} for it in found])
        else:
            rows = [(it.name, it.manifest.title, it.population, f"{it.epsilon:g}", f"{it.delta:g}") for it in found]
            print_table("Data sets", ("Name", "Title", "Population", "Lifetime ε", "δ"), rows)
            for it in found:
                if it.population in excluded:
                    words = f"The guarantee of {it.name} excludes {excluded[it.population].words}."
                    console.print(escape(words), soft_wrap=True)


def _facts(data_set: DataSet) -> dict[str, object]:
    return {
        "name": data_set.name,
        "title": data_set.manifest.title,
        "population": data_set.population,
        "epsilon": data_set.epsilon,
        "delta": data_set.delta,
        "snapshot_commitment": data_set.snapshot_commitment,
    }
