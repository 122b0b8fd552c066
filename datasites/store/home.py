"""A datasite's folder: where everything lies, who may read it, and the settings and secrets made once."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from datasites.catalog.keys import CatalogKeys, derive_catalog_keys
from datasites.protocol.private_files import (
    make_private_folder,
    read_given_file,
    read_private_file,
    write_private_file,
)
from datasites.store.database_url import DatabaseUrl
from policies.errors import ConflictError, InvalidInputError
from policies.jobs.names import Email
from policies.statements.schema import PartyName, StrictModel, describe_validation_error
from policies.statements.toml import parse_toml

_SECRET_BYTES = 32
_MAXIMUM_SETTINGS_BYTES = 64 * 1024
_LONGEST_SOCKET_PATH = 100


MachinesAddress = Annotated[str, Field(pattern=r"^[^\s:]{1,253}:[1-9][0-9]{0,4}$")]
"""HOST:PORT."""


class Settings(StrictModel):
    """`site.toml`: what the owner calls the site, the relay that it takes its mail from, and where its database is."""

    name: PartyName
    relay: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
    contact: Email
    database: DatabaseUrl | None = None
    """A PostgreSQL database; without one it is an SQLite file in the datasite's folder."""
    machines: MachinesAddress | None = None
    """Where `datasite serve` listens for the site's other machines that train with it; nothing listens without it."""


@dataclass(frozen=True)
class Home:
    """Paths below a datasite's folder. Only the SyftBox folder is ever shown to Syft."""

    folder: Path

    @property
    def settings_file(self) -> Path:
        return self.folder / "site.toml"

    @property
    def house_rules_file(self) -> Path:
        return self.folder / "house_rules.toml"

    @property
    def card_file(self) -> Path:
        return self.folder / "card.json"

    @property
    def database_file(self) -> Path:
        return self.folder / "datasite.sqlite"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def catalog_secret(self) -> Path:
        return self.keys / "catalog.key"

    @property
    def machines_secret(self) -> Path:
        return self.keys / "machines.key"

    @property
    def snapshots(self) -> Path:
        return self.folder / "private" / "snapshots"

    @property
    def contents(self) -> Path:
        return self.folder / "contents"

    @property
    def mocks(self) -> Path:
        return self.folder / "mocks"

    @property
    def syft_private(self) -> Path:
        return self.folder / "private" / "syft"

    @property
    def syft_box(self) -> Path:
        return self.folder / "syftbox"

    @property
    def wake_socket(self) -> Path:
        return self.folder / "wake"


def create_home(home: Home, house_rules: str) -> None:
    """Make the folder (mode 0700) with house rules and a fresh catalogue secret; without settings it is none yet.

    Raises:
        ConflictError: a datasite is there already; nothing is overwritten.
        InvalidInputError: the path is too long for a Unix socket.
    """
    if len(os.fsencode(home.wake_socket.absolute())) > _LONGEST_SOCKET_PATH:
        raise InvalidInputError(
            f"The folder {home.folder} has a path too long for a Unix socket: "
            f"at most {_LONGEST_SOCKET_PATH} bytes with «/wake»; choose a shorter one."
        )
    if home.settings_file.exists():
        raise ConflictError(f"{home.folder} holds a datasite already; choose another folder with --home.")
    for folder in (home.folder, home.keys, home.snapshots, home.mocks, home.syft_box):
        make_private_folder(folder)
    write_private_file(home.catalog_secret, secrets.token_bytes(_SECRET_BYTES))
    write_private_file(home.house_rules_file, house_rules.encode())


def write_settings(home: Home, settings: Settings) -> None:
    """Write `site.toml`: from then on the folder holds a datasite."""
    lines = (f"{key} = {_toml_string(value)}\n" for key, value in settings.model_dump(exclude_none=True).items())
    write_private_file(home.settings_file, "".join(lines).encode())


def read_settings(home: Home) -> Settings:
    """Read `site.toml`.

    Raises:
        InvalidInputError: there is no datasite in the folder, or its settings are not valid.
    """
    if not home.settings_file.exists():
        raise InvalidInputError(f"{home.folder} holds no datasite; make one with «datasite init».")
    content = read_given_file(home.settings_file, maximum_bytes=_MAXIMUM_SETTINGS_BYTES, what="The file")
    document = parse_toml(content, maximum_bytes=_MAXIMUM_SETTINGS_BYTES, what=str(home.settings_file))
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        problem = describe_validation_error(error)
        raise InvalidInputError(f"{home.settings_file} is not valid: {problem}.") from error


def read_catalog_keys(home: Home) -> CatalogKeys:
    """Derive the keys for fingerprints, the split and commitments from the stored secret.

    Raises:
        InvalidInputError: the secret is missing or damaged.
    """
    path = home.catalog_secret
    content = read_private_file(path, maximum_bytes=4096)
    if len(content) != _SECRET_BYTES:
        raise InvalidInputError(f"{path} has {len(content)} bytes, not {_SECRET_BYTES}; restore it from its backup.")
    return derive_catalog_keys(content)


def _toml_string(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
