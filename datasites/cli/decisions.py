"""`datasite approve` and `deny`: the owner's signed decisions."""

from typing import Annotated

import typer

from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_OWNER,
    HomeOption,
    JsonOption,
    OwnerOption,
    PassphraseOption,
    owner_key,
    site_at,
)
from datasites.cli.output import print_json, reporting, say
from datasites.requests import decide
from datasites.requests.jobs.decide import approve_job, deny_job, find_approvable
from datasites.requests.jobs.records import Job, find_job_by_number
from datasites.requests.records import Request
from datasites.store.waking import wake


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(approve)
    app.command()(deny)


def approve(
    digest: Annotated[str, typer.Argument(help="The digest that «show» printed.")],
    home: HomeOption = DEFAULT_HOME,
    owner: OwnerOption = DEFAULT_OWNER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve exactly what «show» showed: signed with the owner's key, and a study's worst-case cost reserved."""
    with reporting(as_json):
        site, key = site_at(home), owner_key(owner, passphrase_file)
        with site.engine.begin() as connection:
            is_job = find_approvable(connection, site, digest) is not None
            decided = (approve_job if is_job else decide.approve)(connection, site, digest, key)
        wake(site.home)
        _tell(decided, "approved", as_json)


def deny(
    number: Annotated[int, typer.Argument(help="The request's number.")],
    reason: Annotated[str, typer.Option(help="Why; the researcher reads it.")],
    home: HomeOption = DEFAULT_HOME,
    owner: OwnerOption = DEFAULT_OWNER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deny a request, with a reason."""
    with reporting(as_json):
        site, key = site_at(home), owner_key(owner, passphrase_file)
        with site.engine.begin() as connection:
            is_job = find_job_by_number(connection, number) is not None
            decided = (deny_job if is_job else decide.deny)(connection, site, number, reason, key)
        wake(site.home)
        _tell(decided, "denied", as_json)


def _tell(request: Request | Job, verdict: str, as_json: bool) -> None:
    title = request.terms.name if isinstance(request, Job) else request.terms.title
    if as_json:
        print_json({"number": request.number, "verdict": verdict})
    else:
        say(f"Request {request.number}, «{title}», is {verdict}.")
