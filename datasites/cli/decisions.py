"""`datasite approve` and `deny`: people's signed decisions."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from datasites.cli.approval_view import approvals_as_json, approvals_in_words
from datasites.cli.options import (
    DEFAULT_HOME,
    DEFAULT_KEY_FOLDER,
    HomeOption,
    JsonOption,
    KeyFolderOption,
    PassphraseOption,
    person_key,
    site_at,
)
from datasites.cli.output import print_json, reporting, say
from datasites.people.approvals import Approvals
from datasites.requests import decide
from datasites.requests.jobs.decide import approve_job, deny_job, find_approvable
from datasites.requests.jobs.records import Job, find_job_by_number
from datasites.requests.jobs.review import job_approvals
from datasites.requests.records import Request
from datasites.requests.review import study_approvals
from datasites.site import Site
from datasites.store.waking import wake


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(approve)
    app.command()(deny)


def approve(
    digest: Annotated[str, typer.Argument(help="The digest that «show» printed.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve exactly what «show» showed, signed with your key; with the last approval that it takes, it holds."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            is_job = find_approvable(connection, site, digest) is not None
            decided = (approve_job if is_job else decide.approve)(connection, site, digest, key)
            approvals = _approvals(connection, site, decided)
        wake(site.home)
        _tell(decided, "approved", approvals, as_json)


def deny(
    number: Annotated[int, typer.Argument(help="The request's number.")],
    reason: Annotated[str, typer.Option(help="Why; the researcher reads it.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deny a request, with a reason, signed with your key."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            is_job = find_job_by_number(connection, number) is not None
            decided = (deny_job if is_job else decide.deny)(connection, site, number, reason, key)
            approvals = _approvals(connection, site, decided)
        wake(site.home)
        _tell(decided, "denied", approvals, as_json)


def _approvals(connection: Connection, site: Site, decided: Request | Job) -> Approvals:
    """Who has approved it now."""
    if isinstance(decided, Job):
        return job_approvals(connection, site, decided)
    return study_approvals(connection, site, decided)


def _tell(decided: Request | Job, verdict: str, approvals: Approvals, as_json: bool) -> None:
    title = decided.terms.name if isinstance(decided, Job) else decided.terms.title
    if as_json:
        print_json(
            {
                "number": decided.number,
                "verdict": verdict,
                "status": decided.status.value,
                "approvals": approvals_as_json(approvals),
            }
        )
    elif decided.status.value == verdict:
        say(f"Request {decided.number}, «{title}», is {verdict}.")
    else:
        say(f"Request {decided.number}, «{title}», has {approvals_in_words(approvals)} and waits for more.")
