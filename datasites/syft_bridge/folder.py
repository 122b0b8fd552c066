"""The two folders that Syft knows of: the SyftBox, which holds nothing private, and the private root outside it."""

import re
from dataclasses import dataclass
from pathlib import Path

from syft_datasets import SyftBoxConfig
from syft_job import SyftJobConfig

from policies.errors import InvalidInputError

_OWNER_EMAIL = re.compile(r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}\.[A-Za-z0-9.-]{1,100}")


@dataclass(frozen=True)
class SyftFolder:
    """Where one datasite's Syft data lies.

    Attributes:
        box: the SyftBox folder. Upstream reads, and may send, every byte below it: no private byte lies there.
        private_root: outside the box; holds references to private files, never copies of them.
        owner_email: names the datasite in Syft, and its folder in the box.

    Raises:
        InvalidInputError: the address is none that Syft accepts, or the private root lies in the box.
    """

    box: Path
    private_root: Path
    owner_email: str

    def __post_init__(self) -> None:
        # Made absolute, and no more: a link is to be found where it stands, not to be followed here.
        object.__setattr__(self, "box", self.box.absolute())
        object.__setattr__(self, "private_root", self.private_root.absolute())
        if not _OWNER_EMAIL.fullmatch(self.owner_email):
            raise InvalidInputError(
                "The owner's address is not one that Syft accepts; give one such as data-office@hospital.example, "
                "with a dot in its domain."
            )
        if self.lies_in_box(self.private_root):
            raise InvalidInputError(
                f"The private folder {self.private_root} lies in the SyftBox folder {self.box}, whose content Syft may "
                "send away; choose one outside it."
            )

    def lies_in_box(self, path: Path) -> bool:
        """Whether `path`, with its links followed, is the box or below it."""
        return path.resolve().is_relative_to(self.box.resolve())

    def data_set_config(self) -> SyftBoxConfig:
        """Upstream's settings for data sets, with private files looked for outside the box."""
        return _PrivateFilesOutside(syftbox_folder=self.box, email=self.owner_email, private_root=self.private_root)

    def job_config(self) -> SyftJobConfig:
        """Upstream's settings for jobs."""
        return SyftJobConfig(syftbox_folder=self.box, current_user_email=self.owner_email)


class _PrivateFilesOutside(SyftBoxConfig):  # type: ignore[misc]  # syft_datasets carries no types
    private_root: Path

    def datasite_private_root(self, datasite: str) -> Path:
        return self.private_root / datasite
