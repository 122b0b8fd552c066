"""Options that several commands share, and how they open what they name."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.person_key import load_person_key
from datasites.protocol.private_files import read_private_file
from datasites.site import Site, open_site
from datasites.store.home import Home

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="CLOISTER_HOME", help="The datasite's folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
KeyFolderOption = Annotated[
    Path,
    typer.Option(
        "--key-folder", envvar="CLOISTER_KEY_FOLDER", help="Your own folder, with your decision key; apart from --home."
    ),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file with the passphrase of your decision key; asked for without it."),
]
DEFAULT_HOME = Path("~/.cloister/datasite")
DEFAULT_KEY_FOLDER = Path("~/.cloister/key")

_MAXIMUM_PASSPHRASE_BYTES = 1024


def site_at(home: Path) -> Site:
    """Open the datasite in `home`."""
    return open_site(Home(home.expanduser()))


def read_passphrase(file: Path | None, *, confirm: bool) -> bytes:
    """The decision key's passphrase, from a file (its first line) or from the terminal.

    Raises:
        InvalidInputError: the file cannot be read.
        RefusedError: other accounts may read it.
    """
    if file is None:
        answer: str = typer.prompt("Passphrase of the decision key", hide_input=True, confirmation_prompt=confirm)
        return answer.encode()
    return read_private_file(file.expanduser(), maximum_bytes=_MAXIMUM_PASSPHRASE_BYTES).split(b"\n", 1)[0]


def person_key(folder: Path, passphrase_file: Path | None) -> Ed25519PrivateKey:
    """Open the decision key of the person who types."""
    return load_person_key(folder.expanduser(), read_passphrase(passphrase_file, confirm=False))
