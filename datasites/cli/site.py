"""`datasite init`, `card` and `serve`: make a datasite, show its public card, run it."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_KEY_FOLDER,
    HomeOption,
    JsonOption,
    KeyFolderOption,
    PassphraseOption,
    read_passphrase,
    site_at,
)
from datasites.cli.output import print_facts, print_json, reporting, say
from datasites.protocol.identity import IdentityCard
from datasites.protocol.person_key import own_person_key
from datasites.site import create_site
from datasites.store.home import Home, Settings
from policies.errors import ConflictError, InvalidInputError

DatabaseOption = Annotated[
    str | None,
    typer.Option(help="postgresql+psycopg://user@host/database without a password; an SQLite file if left out."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(init)
    app.command()(card)
    app.command()(serve)


def init(
    name: Annotated[str, typer.Option(help="What people call this datasite.")],
    relay: Annotated[str, typer.Option(help="URL of the relay that carries its mail.")],
    contact: Annotated[str, typer.Option(help="E-mail address under which Syft shows this datasite.")],
    database: DatabaseOption = None,
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a datasite: its folder and keys, and the owner's decision key in a folder of its own."""
    with reporting(as_json):
        folder, own_folder = home.expanduser(), key_folder.expanduser()
        if own_folder.resolve().is_relative_to(folder.resolve()):
            raise InvalidInputError(
                f"The folder of the owner's key {key_folder} lies in the datasite's folder {home}, which the service "
                "reads; choose one outside it with --key-folder."
            )
        settings = Settings(name=name, relay=relay, contact=contact, database=database)
        if Home(folder).settings_file.exists():
            raise ConflictError(f"{home} holds a datasite already; choose another folder with --home.")
        # One owner may decide for several datasites with one key.
        owner_key = own_person_key(own_folder, read_passphrase(passphrase_file, confirm=True))
        site = create_site(Home(folder), settings, owner_key)
        _show_card(site.identity.card, site.home.card_file, as_json)


def card(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show this datasite's public card: hand the file over, and read the fingerprint aloud in person."""
    with reporting(as_json):
        site = site_at(home)
        _show_card(site.identity.card, site.home.card_file, as_json)


def serve(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Run the datasite until it is told to stop (Ctrl-C or SIGTERM)."""
    from datasites.service import Service  # with Syft and the mail client, which no other command needs

    with reporting(as_json):
        site = site_at(home)
        service = Service(site)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: service.stop())
        if as_json:
            print_json({"serving": site.identity.party})
        else:
            say(f"{site.settings.name} is serving; its mail comes through {site.settings.relay}.")
        service.run()


def _show_card(shown: IdentityCard, file: Path, as_json: bool) -> None:
    if as_json:
        print_json({"card": str(file), "fingerprint": shown.fingerprint, "party": shown.party})
    else:
        print_facts(shown.name, {"Card file": str(file), "Fingerprint": shown.fingerprint, "Identity": shown.party})
