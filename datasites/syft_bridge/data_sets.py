"""Shows each registered data set as a PySyft data set: mock in the box, private file referenced outside it."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import Field, ValidationError
from syft_datasets import Dataset, DatasetRef, DatasetStorage, PrivateDatasetConfig
from syft_datasets.migrations.registry import DATASET_PROTOCOL_VERSION
from syft_datasets.url import SyftBoxURL

from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.placing import building, counterpart, place, same_tree
from policies.errors import InvalidInputError
from policies.statements.digests import digest_bytes
from policies.statements.schema import Name, StrictModel, Text, describe_validation_error

MAXIMUM_MOCK_BYTES = 64 * 1024 * 1024
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,16})?")
_README = "README.md"


class DataSetCard(StrictModel):
    """What Syft shows of a data set; all of it is public and in the owner's own words."""

    name: Name
    summary: Text
    readme: Annotated[str, Field(max_length=256 * 1024)]
    registered_at: Annotated[int, Field(ge=0, le=2**40, description="seconds since 1970, UTC")]


def publish_data_set(
    folder: SyftFolder, name: str, *, summary: str, readme: str, mock: Path, private: Path, registered_at: int
) -> None:
    """Make Syft show the data set `name` with these contents, and nothing else under that name.

    Publishing what stands already changes no byte; publishing other contents replaces them, and so mends what
    a crash or a hand has left. The mock is copied into the box as «mock.…». The private file is neither
    copied nor read (but to see that it is not the mock): a link «private.…» below the private root names it.

    Args:
        readme: Markdown, at most 256 Ki characters.
        mock: a regular file of at most 64 MiB.
        private: a file outside the box; links are followed once, now.
        registered_at: seconds since 1970, UTC, as stored with the data set.

    Raises:
        InvalidInputError: a name, text or file is not as described; nothing was changed.
        ConflictError: a link in the box leads out of it.
    """
    try:
        card = DataSetCard(name=name, summary=summary, readme=readme, registered_at=registered_at)
        DatasetStorage.validate_dataset_name(card.name)
    except ValidationError as error:
        raise InvalidInputError(f"The data set cannot be shown: {describe_validation_error(error)}.") from error
    except ValueError as error:
        raise InvalidInputError(f"Syft keeps the name {name} for itself; choose another for the data set.") from error
    private_file = private.resolve()
    if not private_file.is_file() or folder.lies_in_box(private_file):
        raise InvalidInputError(
            f"The private file {private} is not a file outside the SyftBox folder {folder.box}; keep it outside."
        )
    mock_bytes = _read_mock(mock, private_file)
    with building(folder) as twin:
        ref = DatasetRef(folder.owner_email, card.name, DATASET_PROTOCOL_VERSION)
        staged_private = _stage_private(folder, twin, ref, private_file)
        staged_public = _stage_public(twin, ref, card, mock_bytes, "mock" + _suffix(mock))
        for staged, twin_root, root in (
            (staged_private, twin.private_root, folder.private_root),
            (staged_public, twin.box, folder.box),
        ):
            if not same_tree(staged, counterpart(staged, twin_root=twin_root, root=root)):
                place(staged, twin_root=twin_root, root=root)


def _stage_public(twin: SyftFolder, ref: DatasetRef, card: DataSetCard, mock: bytes, mock_name: str) -> Path:
    storage = DatasetStorage(twin.data_set_config())
    public: Path = storage.public_dataset_dir(ref)
    public.mkdir(parents=True, mode=0o700)
    (public / mock_name).write_bytes(mock)
    (public / _README).write_text(card.readme, encoding="utf-8")
    registered = datetime.fromtimestamp(card.registered_at, UTC)
    url = f"syft://{public.relative_to(twin.box).as_posix()}"
    storage.write_dataset_metadata(
        ref,
        Dataset(
            uid=_identifier(ref),
            created_at=registered,
            updated_at=registered,
            name=card.name,
            summary=card.summary,
            mock_url=SyftBoxURL(url),
            # Upstream spells every private URL so, wherever the file lies; it tells nothing about this machine.
            private_url=SyftBoxURL(url.replace("/public/", "/private/", 1)),
            readme_url=SyftBoxURL(f"{url}/{_README}"),
            mock_files_urls=[SyftBoxURL(f"{url}/{mock_name}")],
        ),
    )
    return public


def _stage_private(folder: SyftFolder, twin: SyftFolder, ref: DatasetRef, private_file: Path) -> Path:
    storage = DatasetStorage(twin.data_set_config())
    staged: Path = storage.private_dataset_dir(ref)
    staged.mkdir(parents=True, mode=0o700)
    (staged / ("private" + _suffix(private_file))).symlink_to(private_file)
    final = counterpart(staged, twin_root=twin.private_root, root=folder.private_root)
    storage.write_private_config(ref, PrivateDatasetConfig(uid=_identifier(ref), data_dir=final))
    return staged


def _identifier(ref: DatasetRef) -> UUID:
    return UUID(bytes=digest_bytes("syft-data-set", ref.owner.encode(), ref.name.encode())[:16])


def _read_mock(mock: Path, private_file: Path) -> bytes:
    try:
        with open(mock, "rb", opener=_open_without_links) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAXIMUM_MOCK_BYTES:
                raise InvalidInputError(f"The mock {mock} must be a plain file of at most {MAXIMUM_MOCK_BYTES} bytes.")
            content = file.read(MAXIMUM_MOCK_BYTES)
    except OSError as error:
        raise InvalidInputError(f"The mock {mock} cannot be read as a plain file ({error.strerror}).") from error
    if len(content) == private_file.stat().st_size and content == private_file.read_bytes():
        raise InvalidInputError(f"The mock {mock} is the private file itself; draw a mock from the manifest instead.")
    return content


def _open_without_links(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if not _SUFFIX.fullmatch(suffix):
        raise InvalidInputError(f"The name of {path} ends in something other than letters and digits; rename the file.")
    return suffix
