"""`datasite people`: keys of one's own, and who has a role at the site by the owner's word."""

from typing import Annotated, Any

import typer

from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_KEY_FOLDER,
    HomeOption,
    JsonOption,
    KeyFolderOption,
    PassphraseOption,
    person_key,
    read_passphrase,
    site_at,
)
from datasites.cli.output import print_json, print_table, reporting, say
from datasites.people import appoint as use_case
from datasites.people.register import register_of
from datasites.protocol.person_key import own_person_key
from datasites.store.engine import reading
from policies.people.appointment import AppointedRole, Appointment
from policies.people.signer import OWNER_NAME

app = typer.Typer(help="Appoint reviewers and auditors, each with a key of their own.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="people")


@app.command()
def key(
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make your own decision key, or open it, and show its public half: read it to the owner in person."""
    with reporting(as_json):
        key = own_person_key(key_folder.expanduser(), read_passphrase(passphrase_file, confirm=True))
        public = key.public_key().public_bytes_raw().hex()
        if as_json:
            print_json({"key": public})
        else:
            say(f"Your public key is {public}.")


@app.command()
def appoint(
    name: Annotated[str, typer.Argument(help="What people call them.")],
    role: Annotated[AppointedRole, typer.Option(help="A reviewer decides; an auditor reads, and decides nothing.")],
    key: Annotated[str, typer.Option(help="Their public key, as «people key» showed it to them.")],
    researcher: Annotated[
        str | None,
        typer.Option(help="The party that they are as a researcher here, on whose requests they never decide."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a person a role at this site: signed with the owner's key."""
    with reporting(as_json):
        site, owner_key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            made = use_case.appoint(connection, site, owner_key, name=name, role=role, key=key, researcher=researcher)
        if as_json:
            print_json(_facts(made))
        else:
            say(f"«{made.name}» is {made.role} of {site.settings.name}.")


@app.command()
def dismiss(
    name: Annotated[str, typer.Argument(help="What people call them, as «people list» names them.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the log.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a person's role away, signed with the owner's key: what they decided stands, and they decide no more."""
    with reporting(as_json):
        site, owner_key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            ended = use_case.dismiss(connection, site, owner_key, name=name, reason=reason)
        if as_json:
            print_json(_facts(ended))
        else:
            say(f"«{ended.name}» has no role at {site.settings.name} any more.")


@app.command(name="list")
def list_people(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List who has a role at this site."""
    with reporting(as_json):
        site = site_at(home)
        with reading(site.engine) as connection:
            appointed = register_of(connection, site).in_role()
        owner = {"name": OWNER_NAME, "role": "owner", "key": site.owner_key.hex(), "researcher": None}
        found = [owner, *(_facts(it) for it in appointed)]
        if as_json:
            print_json(found)
        else:
            rows = [(it["name"], it["role"], it["key"], it["researcher"] or "") for it in found]
            print_table("People", ("Name", "Role", "Key", "As a researcher"), rows)


def _facts(appointment: Appointment) -> dict[str, Any]:
    return appointment.model_dump(mode="json", include={"name", "role", "key", "researcher"})
