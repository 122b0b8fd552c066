"""`datasite rules`: show the house rules that hold, say what a set of rules would do, and adopt the file."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_KEY_FOLDER,
    HomeOption,
    JsonOption,
    KeyFolderOption,
    PassphraseOption,
    person_key,
    site_at,
)
from datasites.cli.output import console, print_facts, print_json, print_table, reporting, say
from datasites.protocol.private_files import read_given_file
from datasites.requests.past import known_names, past_requests
from datasites.requests.patience import rules_if_any
from datasites.requests.rules_file import adopt_file, house_rules_on_disk
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.waking import wake
from policies.errors import InvalidInputError, RefusedError
from policies.rules.check import outcomes, remarks
from policies.rules.house_rules import MAXIMUM_HOUSE_RULES_BYTES, HouseRules, parse_house_rules
from policies.rules.words import RuleChange, changes, rule_values

_NEWEST = 20
_SIGNS = {"stricter": "▲ stricter", "looser": "▼ looser", "other": "· other"}


app = typer.Typer(help="The house rules: see, check and adopt them.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="rules")


@app.command()
def show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the rules that hold, and in what house_rules.toml says otherwise."""
    with reporting(as_json):
        site = site_at(home)
        with reading(site.engine) as connection:
            adopted = site.house_rules(connection)
        problem, differs = "", []
        try:
            differs = changes(adopted.rules, house_rules_on_disk(site))
        except InvalidInputError as error:
            problem = str(error)
        if as_json:
            print_json(
                {
                    "digest": adopted.digest,
                    "adopted_at": adopted.signed.adoption.adopted_at,
                    "rules": adopted.rules.model_dump(mode="json"),
                    "file": {"problem": problem, "changes": [it._asdict() for it in differs]},
                }
            )
            return
        print_facts(f"House rules that hold ({adopted.digest[:16]}…)", rule_values(adopted.rules))
        if problem:
            console.print(f"[bold red]✗[/] {escape(problem)} Nothing is approved until it is mended.", soft_wrap=True)
        elif differs:
            _print_changes("house_rules.toml says otherwise; nothing is approved until it is adopted", differs)
        else:
            say("house_rules.toml says the same.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A set of rules; house_rules.toml if left out.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say what a set of rules would have done with the last 20 requests, and where it is contradictory or dangerous."""
    with reporting(as_json):
        site = site_at(home)
        rules = _rules_of(site, file)
        with reading(site.engine) as connection:
            studies, jobs = past_requests(connection, site)
            notes = remarks(rules, known_names(connection))
        found = outcomes(rules, studies, jobs, _NEWEST)
        if as_json:
            print_json({"remarks": list(notes), "requests": [asdict(it) for it in found]})
            return
        _print_remarks(notes)
        rows = [(str(it.number), it.title, it.result, " ".join(it.sentences)) for it in found]
        print_table("What these rules would have done", ("N", "Title", "", "Why"), rows)


@app.command()
def adopt(
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what house_rules.toml changes, and put it into force from now on: signed with the owner's key."""
    with reporting(as_json):
        site = site_at(home)
        rules = house_rules_on_disk(site)
        with reading(site.engine) as connection:
            before, notes = rules_if_any(connection, site), remarks(rules, known_names(connection))
        differs = changes(before, rules)
        if before is not None and not differs:
            raise RefusedError("house_rules.toml says what was adopted already; there is nothing to adopt.")
        if not as_json:
            _print_changes("What changes", differs)
            _print_remarks(notes)
        key = person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            adopted = adopt_file(connection, site, key, rules)
        wake(site.home)
        if as_json:
            print_json({"digest": adopted.digest, "changes": [it._asdict() for it in differs], "remarks": list(notes)})
        else:
            say(f"These rules hold from now on ({adopted.digest[:16]}…).")


def _rules_of(site: Site, file: Path | None) -> HouseRules:
    if file is None:
        return house_rules_on_disk(site)
    return parse_house_rules(read_given_file(file, maximum_bytes=MAXIMUM_HOUSE_RULES_BYTES, what="The file"))


def _print_changes(title: str, found: Sequence[RuleChange]) -> None:
    print_table(title, ("", "Rule"), [(_SIGNS[it.direction], it.sentence) for it in found])


def _print_remarks(notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"[bold yellow]![/] {escape(note)}", soft_wrap=True)
