"""The SyftBox that a job sees in the sandbox: nothing but the data sets that its approval names, in Syft's layout."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from datasites.syft_bridge.description import DataSetCard, private_files, private_folder, public_files, public_folder

BOX = Path("/box")
"""What `SYFTBOX_FOLDER` says inside."""


def box_files(owner_email: str, data_sets: Sequence[DataSetCard]) -> dict[str, bytes]:
    """Syft's own files of the box, by their absolute paths inside; mock and private files are shown beside them.

    With them `sy.resolve_dataset_file_path(name)` gives the private place of the data set's file, where
    `SYFT_IS_IN_JOB` is true and `SYFTBOX_EMAIL` is the owner's address. In a dry run a mock file stands there.
    """
    return {place: content for card in data_sets for place, content in _files_of(owner_email, card)}


@lru_cache(maxsize=32)  # written for the dry run, and used again when the approved job is to begin at once
def _files_of(owner_email: str, card: DataSetCard) -> tuple[tuple[str, bytes], ...]:
    private = private_folder(BOX, owner_email, card.name)
    folders = {
        public_folder(BOX, owner_email, card.name): public_files(BOX, owner_email, card),
        private: private_files(owner_email, card.name, private),
    }
    return tuple(
        (str(folder / name), content) for folder, contents in folders.items() for name, content in contents.items()
    )


def mock_place(owner_email: str, data_set: str, file_name: str) -> str:
    """Where a mock file of a data set stands inside."""
    return str(public_folder(BOX, owner_email, data_set) / file_name)


def private_place(owner_email: str, data_set: str, file_name: str) -> str:
    """Where a private file of a data set stands inside."""
    return str(private_folder(BOX, owner_email, data_set) / file_name)
