"""`datasite revoke`, `stop` and `resume`: take an approval back, or halt the whole site for a while."""

from dataclasses import asdict
from typing import Annotated

import typer

from datasites.cli.halt_view import print_went_out
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
from datasites.halts import revoke as use_case
from datasites.halts.stop import resume_site, stop_site
from datasites.store.waking import wake


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(revoke)
    app.command()(stop)
    app.command()(resume)


def revoke(
    number: Annotated[int, typer.Argument(help="The request's number, as «requests» lists it.")],
    reason: Annotated[str, typer.Option(help="Why; the researcher reads it.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what was approved of a request, for good; says what had gone out before."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            done = use_case.revoke(connection, site, number, reason, key)
        wake(site.home)
        if as_json:
            went_out = [asdict(it) for it in done.went_out]
            print_json({"number": done.number, "with_it": list(done.with_it), "went_out": went_out})
            return
        before = "what follows had gone out before" if done.went_out else "nothing had gone out of it"
        say(f"The approval of request {done.number}, «{done.title}», is revoked; {before}.")
        if done.with_it:
            say(f"With it ended what house rules approved on it: {', '.join(f'request {it}' for it in done.with_it)}.")
        print_went_out(done.went_out)


def stop(
    reason: Annotated[str, typer.Option(help="Why; it stands in the log, and researchers are not told.")],
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop everything: nothing is approved, charged, run or released until «resume»; mail is still taken in."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            done = stop_site(connection, site, reason, key)
        wake(site.home)
        if as_json:
            print_json({"stop": done.serial, "stopped": True})
        else:
            say("The site is stopped; jobs that run are killed, and what waits goes on after «datasite resume».")


def resume(
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the stop: what waits goes on."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            done = resume_site(connection, site, key)
        wake(site.home)
        if as_json:
            print_json({"stop": done.serial, "stopped": False})
        else:
            say("The site goes on.")
