"""`datasite peers`: pin the cards of researchers and of other datasites; nobody else is talked to."""

from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_json, print_table, reporting, say
from datasites.protocol.identity import MAXIMUM_CARD_BYTES, IdentityCard, parse_card
from datasites.protocol.private_files import read_given_file
from datasites.requests.contacts import accept_contact, all_contacts, refuse_contact
from datasites.sandbox.environment import offered_packages
from datasites.store.peers import pin, pinned_cards
from datasites.store.waking import wake
from policies.errors import InvalidInputError

app = typer.Typer(help="Pin the public cards of researchers and other datasites.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="peers")


@app.command()
def add(
    card_files: Annotated[list[Path], typer.Argument(help="Cards that their owners handed over.")],
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(help="Each card's fingerprint as its owner read it aloud, in order; asked for without it."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Pin cards, once each fingerprint is the one that its owner read aloud: all of them, or none."""
    with reporting(as_json):
        cards = [parse_card(read_card(path)) for path in card_files]
        heard = fingerprint or [
            str(typer.prompt(f"Fingerprint of «{card.name}» as read aloud by its owner")) for card in cards
        ]
        if len(heard) != len(cards):
            raise InvalidInputError(
                f"{len(cards)} cards and {len(heard)} fingerprints were given; give one for each card, in order."
            )
        for card, words in zip(cards, heard, strict=True):
            _compare(card, words)
        site = site_at(home)
        with site.engine.begin() as connection:
            for card in cards:
                pin(connection, card, site.now)
        if as_json:
            print_json([_facts(card) for card in cards])
        else:
            for card in cards:
                say(f"The {card.role} «{card.name}» is pinned ({card.fingerprint}).")


@app.command(name="list")
def list_peers(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the pinned parties."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            cards = pinned_cards(connection)
        if as_json:
            print_json([_facts(card) for card in cards])
        else:
            rows = [(card.name, card.role, card.fingerprint, card.party[:16] + "…") for card in cards]
            print_table("Pinned parties", ("Name", "Role", "Fingerprint", "Identity"), rows)


@app.command()
def accept(
    contact: Annotated[str, typer.Argument(help="The e-mail address that a pinned researcher asked for.")],
    name: Annotated[
        str | None, typer.Option(help="Whose it is, as its card names it, where several researchers asked for it.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a pinned researcher under the address that it asked for, as PySyft names people."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            accepted = accept_contact(connection, site, contact, offered_packages(), site.now, name)
        wake(site.home)
        if as_json:
            print_json({"party": accepted.party, "name": accepted.name, "contact": contact})
        else:
            say(f"«{accepted.name}» is shown as {contact}.")


@app.command()
def asking(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the addresses that pinned researchers asked for, and those that were accepted."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            found = all_contacts(connection)
        if as_json:
            print_json([{"name": it.name, "requested": it.requested, "accepted": it.accepted} for it in found])
        else:
            rows = [(it.name, it.requested or "", it.accepted or "") for it in found]
            print_table("Addresses", ("Name", "Asks for", "Is shown as"), rows)


@app.command()
def refuse(
    contact: Annotated[str, typer.Argument(help="The e-mail address that a researcher asked for.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Forget that anybody asked for an address; whoever is shown under it already stays."""
    with reporting(as_json):
        with site_at(home).engine.begin() as connection:
            refuse_contact(connection, contact)
        if as_json:
            print_json({"contact": contact})
        else:
            say(f"Nobody is shown as {contact} for having asked.")


def read_card(path: Path) -> bytes:
    """A card file's bytes.

    Raises:
        InvalidInputError: it cannot be read.
    """
    return read_given_file(path, maximum_bytes=MAXIMUM_CARD_BYTES, what="The card")


def _facts(card: IdentityCard) -> dict[str, str]:
    return {"name": card.name, "role": card.role, "fingerprint": card.fingerprint, "party": card.party}


def _compare(card: IdentityCard, heard: str) -> None:
    if heard.strip().upper() != card.fingerprint:
        raise InvalidInputError(
            f"The card's fingerprint is {card.fingerprint}, and {heard.strip()} was heard: do not trust this card; "
            "ask its owner for it again."
        )
