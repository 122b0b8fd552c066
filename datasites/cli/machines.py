"""`datasite machines`: let other machines of the site train with this one, where a data set does not fit it."""

import secrets
from typing import Annotated

import typer
from pydantic import ValidationError

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_facts, print_json, reporting
from datasites.execution.sealed_link import SECRET_BYTES
from datasites.protocol.private_files import write_private_file
from datasites.store.home import Settings, write_settings
from policies.errors import InvalidInputError

_FOLLOWER = (
    "torchrun --nnodes COUNT --nproc-per-node 1 --node-rank RANK --master-addr FIRST --master-port 29400 "
    "--max-restarts 100 -m datasites.execution.follower {address} {secret} FOLDER"
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(machines)


def machines(
    address: Annotated[str, typer.Argument(help="HOST:PORT of this machine, at which the others of the site join it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Let other machines of this site train with it: where they join, and the secret by which they are known."""
    with reporting(as_json):
        site = site_at(home)
        try:
            settings = Settings.model_validate({**site.settings.model_dump(), "machines": address})
        except ValidationError as error:
            raise InvalidInputError(f"«{address}» is no address; write HOST:PORT, such as 10.0.0.1:7400.") from error
        secret = site.home.machines_secret
        if not secret.exists():
            write_private_file(secret, secrets.token_bytes(SECRET_BYTES))
        write_settings(site.home, settings)
        command = _FOLLOWER.format(address=address, secret=secret.name)
        if as_json:
            print_json({"address": address, "secret": str(secret), "command": command})
            return
        print_facts(
            "Other machines of this site",
            {
                "They join at": f"{address}, once «datasite serve» was started again",
                "Copy to each": f"{secret}, mode 0600; who has it is shown private data",
                "On each run": command,
                "Then rule": "[data_sets.NAME] machines = COUNT + 1",
            },
        )
