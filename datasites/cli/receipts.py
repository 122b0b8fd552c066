"""`datasite receipt` and `verify-receipt`: prove that an update went into one opened sum, and check such proofs."""

from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_json, reporting, say
from datasites.cli.proofs import WitnessOption, read_pinned, show_report
from datasites.protocol.private_files import read_given_file, write_private_file
from datasites.requests.prove import prove_round
from datasites.requests.records import request_by_number
from datasites.store.engine import reading
from policies.log.check_any import MAXIMUM_PROOF_BYTES, check_any


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(receipt)
    app.command(name="verify-receipt")(verify_receipt)


def receipt(
    number: Annotated[int, typer.Argument(help="The request's number, as «requests» lists it.")],
    file: Annotated[Path, typer.Argument(help="Where to write the receipt.")],
    round_number: Annotated[int, typer.Option("--round", help="The round, from 1.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write a proof, for anybody, that this site's answer to a round went into one opened sum."""
    with reporting(as_json):
        site = site_at(home)
        with reading(site.engine) as connection:
            made = prove_round(connection, site, request_by_number(connection, number), round_number)
        write_private_file(file.expanduser().absolute(), made.canonical())
        if as_json:
            print_json({"receipt": str(file), "entries": len(made.entries)})
        else:
            say(f"The receipt is in {file}; «datasite verify-receipt {file}» checks it anywhere.")


def verify_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt of a site's, or of a researcher's on a model.")],
    card: Annotated[
        Path | None, typer.Option(help="The site's card as handed over in person; without it the keys are not proved.")
    ] = None,
    witness: WitnessOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a receipt offline and say what it proves; exits with 1 if anything does not hold."""
    with reporting(as_json):
        content = read_given_file(file, maximum_bytes=MAXIMUM_PROOF_BYTES, what="The receipt")
        show_report(check_any(content, read_pinned(card, witness or (), ())), as_json)
