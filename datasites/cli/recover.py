"""`datasite recover`: after a disk or machine was set back, write off what may have been spent since."""

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
from datasites.store.waking import wake
from datasites.witnesses import recover as use_case


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(recover)


def recover(
    home: HomeOption = DEFAULT_HOME,
    key_folder: KeyFolderOption = DEFAULT_KEY_FOLDER,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on after the disk was set back: open studies end, and what may have been spent since counts as spent."""
    with reporting(as_json):
        site, key = site_at(home), person_key(key_folder, passphrase_file)
        with site.engine.begin() as connection:
            done = use_case.recover(connection, site, key, site.now)
        wake(site.home)
        units = {
            name: {"training": cost.training_units, "evaluation": cost.evaluation_units}
            for name, cost in done.written_off.items()
        }
        if as_json:
            print_json({"ended": done.ended, "written_off": units, "forgotten": done.forgotten})
            return
        say(f"Recovered. Studies ended: {', '.join(map(str, done.ended)) or 'none'}.")
        for name, cost in units.items():
            say(f"Population {name}: {cost['training']} training, {cost['evaluation']} evaluation units spent.")
        for name in done.forgotten:
            say(
                f"Population {name} was opened in the lost history and is forgotten here: do not register its people "
                "as new ones; their budget may be spent."
            )
