"""`datasite`: the commands by which a data owner runs a datasite, decides, and audits."""

import typer

from datasites.cli import data, decisions, doctor, files, jobs, log, peers, recover, relay, requests, site

app = typer.Typer(
    name="datasite",
    help="Run a datasite: keep private data at home, decide what may be computed on it, and prove what was.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
site.add_to(app)
app.add_typer(data.app, name="data")
app.add_typer(files.app, name="files")
app.add_typer(peers.app, name="peers")
requests.add_to(app)
decisions.add_to(app)
jobs.add_to(app)
app.add_typer(log.app, name="log")
log.add_to(app)
recover.add_to(app)
doctor.add_to(app)
app.add_typer(relay.app, name="relay")


def main() -> None:
    """Run the command line."""
    app()
