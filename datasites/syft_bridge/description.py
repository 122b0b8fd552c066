"""Syft's own description of one data set: where its files lie in a SyftBox, and what its metadata says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import yaml
from pydantic import Field
from syft_datasets import Dataset, DatasetRef, DatasetStorage, PrivateDatasetConfig, SyftBoxConfig
from syft_datasets.config import METADATA_FILENAME, PRIVATE_METADATA_FILENAME
from syft_datasets.migrations.registry import DATASET_PROTOCOL_VERSION
from syft_datasets.url import SyftBoxURL

from policies.jobs.names import DataFileName, FileSetName
from policies.statements.digests import digest_bytes
from policies.statements.schema import StrictModel, Text

README = "README.md"


class DataSetCard(StrictModel):
    """What Syft shows of a data set; all of it is public and in the owner's own words."""

    name: FileSetName
    summary: Text
    readme: Annotated[str, Field(max_length=256 * 1024)]
    tags: tuple[Text, ...]
    registered_at: Annotated[int, Field(ge=0, le=2**33, description="seconds since 1970, UTC")]
    mock_files: Annotated[tuple[DataFileName, ...], Field(min_length=1, max_length=100)]


def public_folder(box: Path, owner_email: str, data_set: str) -> Path:
    """Where the mock files of an owner's data set lie in a SyftBox, its metadata and readme beside them."""
    folder: Path = _layout(box, owner_email).public_dataset_dir(_ref(owner_email, data_set))
    return folder


def private_folder(box: Path, owner_email: str, data_set: str) -> Path:
    """Where Syft looks for the private files of an owner's data set, if its private root is in the box."""
    folder: Path = _layout(box, owner_email).private_dataset_dir(_ref(owner_email, data_set))
    return folder


def public_files(box: Path, owner_email: str, card: DataSetCard) -> dict[str, bytes]:
    """What lies beside the mock files in the public folder: Syft's metadata and the readme, by name."""
    public = public_folder(box, owner_email, card.name)
    registered = datetime.fromtimestamp(card.registered_at, UTC)
    url = f"syft://{public.relative_to(box).as_posix()}"
    described = Dataset(
        uid=_identifier(owner_email, card.name),
        created_at=registered,
        updated_at=registered,
        name=card.name,
        summary=card.summary,
        tags=list(card.tags),
        mock_url=SyftBoxURL(url),
        # Upstream spells every private URL so, wherever the file lies; it tells nothing about a machine.
        private_url=SyftBoxURL(url.replace("/public/", "/private/", 1)),
        readme_url=SyftBoxURL(f"{url}/{README}"),
        mock_files_urls=[SyftBoxURL(f"{url}/{name}") for name in card.mock_files],
    )
    return {METADATA_FILENAME: _as_yaml(described), README: card.readme.encode()}


def private_files(owner_email: str, data_set: str, folder: Path) -> dict[str, bytes]:
    """What lies beside the private files in their `folder`: Syft's settings, by name."""
    settings = PrivateDatasetConfig(uid=_identifier(owner_email, data_set), data_dir=folder)
    return {PRIVATE_METADATA_FILENAME: _as_yaml(settings)}


def _as_yaml(described: Dataset | PrivateDatasetConfig) -> bytes:
    text: str = yaml.safe_dump(described.disk_dict(), sort_keys=False)
    return text.encode()


def _layout(box: Path, owner_email: str) -> DatasetStorage:
    return DatasetStorage(SyftBoxConfig(syftbox_folder=box, email=owner_email))


def _ref(owner_email: str, data_set: str) -> DatasetRef:
    return DatasetRef(owner_email, data_set, DATASET_PROTOCOL_VERSION)


def _identifier(owner_email: str, data_set: str) -> UUID:
    return UUID(bytes=digest_bytes("syft-data-set", owner_email.encode(), data_set.encode())[:16])
