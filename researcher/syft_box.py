"""The researcher's SyftBox: data sets, statuses and outputs, written whole or not at all, each below its own site."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from syft_job import JobState, JobStatus, SyftJobConfig
from syft_job.job_storage import JobRef
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION

from datasites.protocol.private_files import make_private_folder
from datasites.protocol.unpacking import unpack
from datasites.syft_bridge.description import DataSetCard, public_files, public_folder
from datasites.syft_bridge.job_storage import SYFT_STATUS, job_storage, shown_reason
from policies.jobs.release import OutputFact
from researcher.job_state import Job


@dataclass(frozen=True)
class Box:
    """Where one researcher's session shows things; `staging` is beside it, on the same disk.

    Every address is this researcher's own word for a site, and every job's name its own: no site chooses a folder.
    """

    folder: Path
    staging: Path
    email: str

    def data_sets(self, address: str) -> set[str]:
        """The names of a site's data sets that are shown."""
        root = self._data_sets_folder(address)
        return {path.name for path in root.iterdir()} if root.is_dir() else set()

    def shown_bytes(self, address: str) -> int:
        """How many bytes a site's data sets take."""
        return sum(path.stat().st_size for path in self._data_sets_folder(address).rglob("*") if path.is_file())

    def stands(self, address: str, card: DataSetCard, sizes: Sequence[int]) -> bool:
        """Whether a data set is shown exactly as described, with mock files of these sizes."""
        folder = public_folder(self.folder, address, card.name)
        wanted = {name: len(content) for name, content in public_files(self.folder, address, card).items()}
        wanted |= dict(zip(card.mock_files, sizes, strict=True))
        if not folder.is_dir() or {path.name: path.stat().st_size for path in folder.iterdir()} != wanted:
            return False
        return all(
            (folder / name).read_bytes() == content
            for name, content in public_files(self.folder, address, card).items()
        )

    def show_data_set(self, address: str, card: DataSetCard, sizes: Sequence[int], mock: Iterable[bytes]) -> None:
        """Show a data set in place of what stood under its name; `mock` is its files one after the other.

        Raises:
            InvalidInputError: the content does not have the announced sizes.
        """
        with self._staged() as staged:
            unpack(mock, [(staged / name, size) for name, size in zip(card.mock_files, sizes, strict=True)])
            for name, content in public_files(self.folder, address, card).items():
                (staged / name).write_bytes(content)
            _replace(staged, public_folder(self.folder, address, card.name))

    def remove_data_set(self, address: str, name: str) -> None:
        """Show a data set no more."""
        shutil.rmtree(public_folder(self.folder, address, name))

    def show_state(self, address: str, job: Job) -> None:
        """Show how far a job has come; before its site said a word PySyft shows it as received."""
        if job.status is None:
            return
        shown = SYFT_STATUS[job.status]
        if shown is JobStatus.DONE and not job.outputs_attempt:
            shown = JobStatus.RUNNING  # they are on their way
        approved = job.decision is not None and job.decision.verdict == "approve"
        state = JobState(
            status=shown,
            approved_by=address if approved else None,
            approval_method="manual" if approved else None,
            rejected_by=address if shown is JobStatus.REJECTED else None,
            review_reason=shown_reason(job.detail),
        )
        with self._staged() as staged:
            ref = self._ref(address, job)
            storage = job_storage(SyftJobConfig(syftbox_folder=staged, current_user_email=self.email), self.email)
            written = storage.write_state(ref, state)
            final = self._review(address, job) / written.name
            if not final.is_file() or final.read_bytes() != written.read_bytes():
                final.parent.mkdir(parents=True, exist_ok=True)
                written.replace(final)

    def place_outputs(self, address: str, job: Job, files: Sequence[OutputFact], content: Iterable[bytes]) -> None:
        """Put the released outputs and logs of a job where PySyft looks for them; `content` is one after the other.

        Raises:
            InvalidInputError: the content does not have the announced sizes.
        """
        with self._staged() as staged:
            (staged / "outputs").mkdir()
            places = [staged / ("outputs" if it.kind == "output" else ".") / it.path for it in files]
            unpack(content, [(place, it.size) for place, it in zip(places, files, strict=True)])
            review = self._review(address, job)
            review.mkdir(parents=True, exist_ok=True)
            for path in staged.iterdir():
                _replace(path, review / path.name)

    def _ref(self, address: str, job: Job) -> JobRef:
        return JobRef(address, self.email, job.terms.name, JOB_PROTOCOL_VERSION)

    def _review(self, address: str, job: Job) -> Path:
        storage = job_storage(SyftJobConfig(syftbox_folder=self.folder, current_user_email=self.email))
        review: Path = storage.review_dir(self._ref(address, job))
        return review

    def _data_sets_folder(self, address: str) -> Path:
        return public_folder(self.folder, address, "any").parent

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        make_private_folder(self.staging)
        with TemporaryDirectory(dir=self.staging, ignore_cleanup_errors=True) as folder:
            staged = Path(folder) / "staged"
            staged.mkdir()
            yield staged


def _replace(staged: Path, final: Path) -> None:
    """Put `staged` in the place of `final`, whatever stands there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if staged.is_dir() and os.path.lexists(final):
        final.rename(staged.parent / f"removed-{final.name}")
    staged.replace(final)
