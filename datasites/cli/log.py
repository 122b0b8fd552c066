"""`datasite log export` and `verify`: hand the log to an auditor, and check one that was handed over."""

from pathlib import Path
from typing import Annotated

import typer

from datasites.cli.options import DEFAULT_HOME, HomeOption, JsonOption, site_at
from datasites.cli.output import print_json, reporting, say
from datasites.cli.proofs import CheckpointOption, WitnessOption, read_pinned, show_report
from datasites.protocol.private_files import read_given_file, write_private_file
from datasites.witnesses.export import export_log
from policies.log.bundle import MAXIMUM_BUNDLE_BYTES
from policies.log.verify import verify_bundle

app = typer.Typer(help="Export the log for an auditor.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Register the group, and `verify` beside it."""
    parent.add_typer(app, name="log")
    parent.command()(verify)


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log and a signed checkpoint to one file that anybody can verify offline."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            content = export_log(connection, site)
        write_private_file(bundle.expanduser().absolute(), content)
        if as_json:
            print_json({"bundle": str(bundle), "bytes": len(content)})
        else:
            say(f"The log is in {bundle}; «datasite verify {bundle}» checks it anywhere.")


def verify(
    bundle: Annotated[Path, typer.Argument(help="An exported log.")],
    card: Annotated[
        Path | None, typer.Option(help="The site's card as handed over in person; without it the keys are not proved.")
    ] = None,
    witness: WitnessOption = None,
    checkpoint: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an exported log offline and say what was proved; exits with 1 if anything does not hold."""
    with reporting(as_json):
        content = read_given_file(bundle, maximum_bytes=MAXIMUM_BUNDLE_BYTES, what="The bundle")
        report = verify_bundle(content, read_pinned(card, witness or (), checkpoint or ()))
        show_report(report, as_json)
