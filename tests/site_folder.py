"""The folder of a real datasite with a hundred patients, made once a test process, and copied for each test."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.catalog.registration import register_data_set
from datasites.protocol.identity import Identity
from datasites.protocol.person_key import create_person_key, load_person_key
from datasites.site import create_site
from datasites.store.home import Home, Settings, read_settings, write_settings
from datasites.store.peers import pin
from tests.conftest import CLINIC, HEADER
from tests.databases import POSTGRESQL, SQLITE, filled_database

NOW = 1_900_000_000
PASSPHRASE = b"three wards and a garden"
LIFETIME_EPSILON = 10.0


@dataclass
class Clock:
    """The site's clock, which tests turn."""

    seconds: float = NOW

    def __call__(self) -> float:
        return self.seconds


def rows(patients: int = 100, first: int = 0) -> Sequence[str]:
    """One visit of each patient."""
    return [
        f"p{number:04},{30 + number % 50},120,A,{('no', 'yes')[number % 2]}"
        for number in range(first, first + patients)
    ]


PARTNERS_OWNER_KEY = Ed25519PrivateKey.generate()
"""The decision key of both partners' owner."""


def write_table(path: Path, patients: int = 100, first: int = 0) -> Path:
    """A table of `rows` as CSV."""
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows(patients, first)))
    return path


def write_manifest(path: Path, name: str = "clinic-a", holdout: float = 0.25) -> Path:
    """The manifest of such a table."""
    path.write_text(CLINIC.replace('"clinic-a"', f'"{name}"').replace("fraction = 0.25", f"fraction = {holdout}"))
    return path


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    keep = tempfile.TemporaryDirectory(prefix="site")
    folder = Path(keep.name)
    settings = Settings(name="Clinic A", relay="http://127.0.0.1:9", contact="owner@clinic-a.example")
    site = create_site(Home(folder / "home"), settings, create_person_key(folder / "owner", PASSPHRASE), Clock())
    for name in ("ada", "eve"):
        with site.engine.begin() as connection:
            pin(connection, Identity.create(folder / name, name, "researcher").card, NOW)
    for name in ("bern", "cadiz"):
        partner = Identity.create(folder / name, name, "datasite", PARTNERS_OWNER_KEY.public_key().public_bytes_raw())
        with site.engine.begin() as connection:
            pin(connection, partner.card, NOW)
    table, manifest = write_table(folder / "table.csv"), write_manifest(folder / "manifest.toml")
    register_data_set(site, manifest, table, LIFETIME_EPSILON)
    site.engine.dispose()
    return keep


@cache
def owner_key() -> Ed25519PrivateKey:
    """The decision key of every copy's owner."""
    return load_person_key(Path(_template().name) / "owner", PASSPHRASE)


def copy_site_folder(folder: Path, database: str = SQLITE) -> None:
    """Copy to `folder`: the datasite in `home`, its `owner`, researchers `ada` and `eve`, sites `bern` and `cadiz`."""
    shutil.copytree(_template().name, folder, dirs_exist_ok=True)
    if database == POSTGRESQL:
        home = Home(folder / "home")
        url = filled_database(home.database_file)
        home.database_file.unlink()
        write_settings(home, read_settings(home).model_copy(update={"database": url}))
