"""PySyft's own session for a data owner, in a notebook beside the running service: `login_do`."""

import getpass
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from syft_datasets import Dataset, DatasetStorage
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_job import SyftJobConfig
from syft_rds import SyftRDSClient

from datasites.protocol.person_key import load_person_key
from datasites.protocol.private_files import read_private_file
from datasites.site import Site, open_site
from datasites.store.home import Home
from datasites.syft_bridge.engine import Engine, open_client
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.mirror import syft_folder
from datasites.syft_bridge.owner_desk import OwnerDesk
from datasites.syft_bridge.owner_jobs import OwnerJobs, OwnerRunner
from policies.errors import InvalidInputError, RefusedError

_MAXIMUM_PASSPHRASE_BYTES = 1024
_MAXIMUM_README_BYTES = 256 * 1024


def login_do(
    email: str,
    *,
    home: Path | str = "~/.cloister/datasite",
    key_folder: Path | str = "~/.cloister/key",
    passphrase_file: Path | str | None = None,
) -> SyftRDSClient:
    """Log in as a data owner; gives PySyft's own client over the datasite in `home`, which `datasite serve` serves.

    Args:
        email: the datasite's contact address, as it was named when the datasite was made.
        home: the datasite's folder.
        key_folder: the folder of whoever decides, with their decision key.
        passphrase_file: a file with the key's passphrase; without one it is asked for at the first decision. The key
            is opened then, and stays open for this session.

    Raises:
        InvalidInputError: there is no datasite, or it has another contact address.
    """
    site = open_site(Home(Path(home).expanduser()))
    if email != site.settings.contact:
        raise InvalidInputError(
            f"This datasite's contact address is {site.settings.contact}, not {email}; log in as that."
        )
    return open_session(site, cache(partial(_person_key, Path(key_folder).expanduser(), passphrase_file)))


def open_session(site: Site, key: Callable[[], Ed25519PrivateKey]) -> SyftRDSClient:
    """PySyft's own client over a datasite; `key` opens the decision key of whoever decides."""
    folder = syft_folder(site)
    desk = OwnerDesk(site, key)
    config = SyftJobConfig(syftbox_folder=folder.box, current_user_email=folder.owner_email, has_do_role=True)
    (folder.box / folder.owner_email).mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = Engine.over(desk, box=folder.box, email=folder.owner_email, owner=True)
    client = open_client(engine, OwnerJobs(config, desk), OwnerDataSets(folder, desk), OwnerRunner(config, desk))
    client.sync()
    return client


class OwnerDataSets(SyftDatasetManager):  # type: ignore[misc]  # syft_datasets carries no types
    """Upstream's manager, whose data sets are sets of files offered to jobs: private ones stay where they lie."""

    def __init__(self, folder: SyftFolder, desk: OwnerDesk) -> None:
        super().__init__(folder.box, folder.owner_email)
        self.syftbox_config = folder.data_set_config()
        self.storage = DatasetStorage(self.syftbox_config)
        self._desk = desk

    def create(
        self,
        name: str,
        mock_path: Path | str,
        private_path: Path | str,
        summary: str | None = None,
        readme_path: Path | None = None,
        location: str | None = None,
        tags: list[str] | None = None,
        users: list[str] | str | None = None,
        protocol_versions: list[str] | None = None,
    ) -> Dataset:
        """Offer the private files to jobs; the client shares them with `users` in its next step.

        Raises:
            InvalidInputError: a name, text or file is not as sites accept it.
        """
        if location is not None:
            raise InvalidInputError("A data set has no location here: its private files stay where they lie.")
        readme = "" if readme_path is None else _read_readme(Path(readme_path))
        self._desk.register(
            name,
            summary=summary or name,
            readme=readme,
            tags=tags or (),
            mock=Path(mock_path).expanduser(),
            private=Path(private_path).expanduser(),
        )
        return self.get(name)

    def delete(self, name: str, datasite: str | None = None, require_confirmation: bool = True) -> None:
        """Raises RefusedError: what was registered stands in the log."""
        self._desk.delete_data_set(name)

    def get_private_dataset_files(self, name: str) -> dict[Path, bytes]:
        """Raises RefusedError: private files are never sent."""
        raise RefusedError(f"The private files of «{name}» stay where they lie; they are sent to nobody.")

    def migrate(self, name: str, to_version: str, users: Any = None) -> Dataset:
        """Raises RefusedError: there is one layout."""
        raise RefusedError("Data sets have one layout here; there is nothing to migrate.")


def _person_key(folder: Path, passphrase_file: Path | str | None) -> Ed25519PrivateKey:
    if passphrase_file is None:
        return load_person_key(folder, getpass.getpass("Passphrase of the decision key: ").encode())
    content = read_private_file(Path(passphrase_file).expanduser(), maximum_bytes=_MAXIMUM_PASSPHRASE_BYTES)
    return load_person_key(folder, content.split(b"\n", 1)[0])


def _read_readme(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(_MAXIMUM_README_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"The readme {path} cannot be read as text; name a Markdown file.") from error
