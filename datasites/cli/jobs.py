"""`datasite release`, `withhold`, `outputs` and `cancel`: what becomes of a job's outputs, and of a job."""

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
    person_key,
    site_at,
)
from datasites.cli.output import print_json, reporting, say
from datasites.protocol.private_files import make_private_folder, write_private_file
from datasites.requests.jobs.close import cancel_job
from datasites.requests.jobs.outputs import output_contents
from datasites.requests.jobs.records import Job, job_by_number
from datasites.requests.jobs.release import release_outputs, withhold_outputs
from datasites.store.engine import reading
from datasites.store.waking import wake
from policies.errors import ConflictError

NumberArgument = Annotated[int, typer.Argument(help="The job's number, as «requests» lists it.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(release)
    app.command()(withhold)
    app.command()(outputs)
    app.command()(cancel)


def release(
    digest: Annotated[str, typer.Argument(help="The digest of the outputs that «show» printed.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let exactly the outputs go that «show» showed, to the researcher who asked, signed with your key."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            job = release_outputs(connection, site, digest, key)
        wake(site.home)
        if job.release is None:
            _tell(job, "Outputs of job {} wait for another person's word.", as_json)
        else:
            _tell(job, "Outputs of job {} are released.", as_json)


def withhold(
    number: NumberArgument,
    reason: Annotated[str, typer.Option(help="Why; the researcher reads it.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a job's outputs for good, with a reason, signed with your key."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            job = withhold_outputs(connection, site, number, reason, key)
        wake(site.home)
        _tell(job, "The outputs of job {} are withheld.", as_json)


def outputs(
    number: NumberArgument,
    to: Annotated[Path, typer.Option(help="A new folder for them, closed to other accounts.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Copy what a job wrote and printed into a folder, to be looked at before it is released."""
    with reporting(as_json):
        site, folder = site_at(home), to.expanduser()
        if folder.exists():
            raise ConflictError(f"{to} exists already; name a new folder.")
        with reading(site.engine) as connection:
            job = job_by_number(connection, number)
        contents = output_contents(site, job)
        make_private_folder(folder)
        for file, content in contents:
            target = folder / ("printed" if file.kind == "log" else "outputs") / file.path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private_file(target, content)
        _tell(job, f"What job {{}} wrote and printed is in {to}; open it with care.", as_json)


def cancel(
    number: NumberArgument,
    reason: Annotated[str, typer.Option(help="Why; the researcher reads it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Stop a job, or do not begin it; what it wrote is forgotten."""
    with reporting(as_json):
        site = site_at(home)
        with site.engine.begin() as connection:
            job = cancel_job(connection, number, reason, site.now)
        wake(site.home)
        _tell(job, "Job {} is cancelled.", as_json)


def _tell(job: Job, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json({"number": job.number, "status": job.status.value})
    else:
        say(sentence.format(job.number))
