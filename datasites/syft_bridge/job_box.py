"""The SyftBox that a job sees in the sandbox: nothing but the data sets that its approval names, in Syft's layout."""

from collections.abc import Sequence
from pathlib import Path

from datasites.syft_bridge.description import DataSetCard, private_files, private_folder, public_files, public_folder

BOX = Path("/box")
"""What `SYFTBOX_FOLDER` says inside."""


def box_files(owner_email: str, data_sets: Sequence[DataSetCard]) -> dict[str, bytes]:
    """Syft's own files of the box, by their absolute paths inside; mock and private files are shown beside them.

    With them `sy.resolve_dataset_file_path(name)` gives the private place of the data set's file, where
    `SYFT_IS_IN_JOB` is true and `SYFTBOX_EMAIL` is the owner's address. In a dry run a mock file stands there.
    """
    files: dict[str, bytes] = {}
    for card in data_sets:
        public = public_folder(BOX, owner_email, card.name)
        private = private_folder(BOX, owner_email, card.name)
        for folder, contents in (
            (public, public_files(BOX, owner_email, card)),
            (private, private_files(owner_email, card.name, private)),
        ):
            files |= {str(folder / name): content for name, content in contents.items()}
    return files


def mock_place(owner_email: str, data_set: str, file_name: str) -> str:
    """Where a mock file of a data set stands inside."""
    return str(public_folder(BOX, owner_email, data_set) / file_name)


def private_place(owner_email: str, data_set: str, file_name: str) -> str:
    """Where a private file of a data set stands inside."""
    return str(private_folder(BOX, owner_email, data_set) / file_name)
