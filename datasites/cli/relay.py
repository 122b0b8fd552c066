"""`datasite relay`: run a mailbox server, and say whose mail it carries."""

from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import JsonOption
from datasites.cli.output import print_json, reporting, say
from datasites.cli.peers import read_card
from datasites.protocol.identity import parse_card
from datasites.relay.quotas import Quotas

app = typer.Typer(help="Run a relay; anyone may, since it sees sealed mail only.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="The relay's folder.")]


def add_to(parent: typer.Typer) -> None:
    """Register the group."""
    parent.add_typer(app, name="relay")


@app.command()
def run(
    folder: FolderArgument,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65_535)] = 8440,
    public_url: Annotated[
        str | None, typer.Option(help="URL under which members reach it, where that is another one (a TLS proxy).")
    ] = None,
    blob_gib: Annotated[int, typer.Option(help="GiB that one member's blobs may fill.", min=1)] = 32,
    mailbox_mib: Annotated[int, typer.Option(help="MiB that the letters to one member may fill.", min=8)] = 1024,
    mailbox_letters: Annotated[int, typer.Option(help="Letters that may wait for one member.", min=100)] = 10_000,
    member_connections: Annotated[int, typer.Option(help="Connections of one member.", min=4)] = 64,
    stranger_connections: Annotated[int, typer.Option(help="Connections of all strangers together.", min=16)] = 256,
    as_json: JsonOption = False,
) -> None:
    """Serve until told to stop; `relay.json` in the folder has the URL while it listens."""
    from datasites.relay.run import run_relay  # with the web server, which no other command needs

    quotas = Quotas(
        blob_bytes=blob_gib << 30,
        mailbox_bytes=mailbox_mib << 20,
        mailbox_letters=mailbox_letters,
        connections=member_connections,
        strangers=stranger_connections,
    )
    with reporting(as_json):

        def announce(url: str) -> None:
            if as_json:
                print_json({"url": url})
            else:
                say(f"The relay listens; members reach it at {url}.")

        run_relay(folder.expanduser(), host, port, public_url, quotas, announce=announce)


@app.command()
def admit(
    folder: FolderArgument,
    cards: Annotated[list[Path], typer.Argument(help="Cards of the parties whose mail it shall carry.")],
    as_json: JsonOption = False,
) -> None:
    """Admit parties; strangers are turned away before anything of theirs is read."""
    from datasites.relay.store import admit as admit_member  # as above

    with reporting(as_json):
        admitted = []
        for path in cards:
            card = parse_card(read_card(path))
            admit_member(folder.expanduser(), card)
            admitted.append(card.party)
            if not as_json:
                say(f"«{card.name}» may use this relay ({card.fingerprint}).")
        if as_json:
            print_json({"admitted": admitted})
