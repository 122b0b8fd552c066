"""Shows each registered data set, and each set of files, as a PySyft data set; private files are only named."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from datasites.syft_bridge.description import DataSetCard, private_files, private_folder, public_files, public_folder
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.placing import building, counterpart, place, same_tree
from policies.errors import InvalidInputError
from policies.statements.schema import describe_validation_error

MAXIMUM_MOCK_BYTES = 64 * 1024 * 1024
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,16})?")


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
        card = DataSetCard(
            name=name,
            summary=summary,
            readme=readme,
            tags=(),
            mock_files=("mock" + _suffix(mock),),
            registered_at=registered_at,
        )
    except ValidationError as error:
        raise InvalidInputError(f"The data set cannot be shown: {describe_validation_error(error)}.") from error
    private_file = private.resolve()
    if not private_file.is_file() or folder.lies_in_box(private_file):
        raise InvalidInputError(
            f"The private file {private} is not a file outside the SyftBox folder {folder.box}; keep it outside."
        )
    mock_files = {card.mock_files[0]: _read_mock(mock, private_file)}
    publish_files(folder, card, mock=mock_files, private={"private" + _suffix(private_file): private_file})


def publish_files(
    folder: SyftFolder, card: DataSetCard, *, mock: Mapping[str, bytes], private: Mapping[str, Path]
) -> None:
    """Make Syft show these mock files under the data set's name, and beside them links to the private ones.

    Args:
        mock: the content of each of the card's mock files, by name.
        private: where each private file lies, outside the box, by name; none is read.

    Raises:
        InvalidInputError: a private file lies in the box.
        ConflictError: a link in the box leads out of it.
    """
    inside = [str(path) for path in private.values() if folder.lies_in_box(path)]
    if inside:
        raise InvalidInputError(f"The private file {inside[0]} lies in the SyftBox folder {folder.box}; move it out.")
    with building(folder) as twin:
        staged_private = _stage(
            _private_folder(twin, card.name),
            private_files(folder.owner_email, card.name, _private_folder(folder, card.name)),
        )
        for file_name, path in private.items():
            (staged_private / file_name).symlink_to(path)
        staged_public = _stage(
            public_folder(twin.box, folder.owner_email, card.name),
            {**public_files(folder.box, folder.owner_email, card), **mock},
        )
        for staged, twin_root, root in (
            (staged_private, twin.private_root, folder.private_root),
            (staged_public, twin.box, folder.box),
        ):
            if not same_tree(staged, counterpart(staged, twin_root=twin_root, root=root)):
                place(staged, twin_root=twin_root, root=root)


def _stage(folder: Path, contents: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True, mode=0o700)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def _private_folder(folder: SyftFolder, name: str) -> Path:
    """Where Syft looks for private files below the private root; upstream's own layout, without its «private»."""
    inside = private_folder(folder.box, folder.owner_email, name)
    return folder.private_root / folder.owner_email / inside.relative_to(folder.box / folder.owner_email / "private")


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
