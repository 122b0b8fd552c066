"""A SyftBox on disk, one private file outside it, and one request to record."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from syft_job import JobClient, JobsList, SyftJobConfig

from datasites.syft_bridge.data_sets import publish_data_set
from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.jobs import record_request

OWNER = "data-office@hospital.example"
PRIVATE_BYTES = b"patient_id,glucose\nPRIVATE-7f3a91,153.25\n"
MOCK_BYTES = b"patient_id,glucose\nmock-0001,100.0\n"
FILES = {"source.py": b"class Plan:\n    rounds = 3\n", "terms.json": b'{"rounds":3}'}
DIGEST = "ab" * 32


@dataclass(frozen=True)
class Place:
    """One datasite's Syft folder with helpers that fill in what a test does not care about."""

    folder: SyftFolder
    mock: Path
    private: Path

    def publish(self, name: str = "diabetes", **changes: object) -> None:
        arguments = {
            "summary": "Diabetes in primary care",
            "readme": "# Diabetes",
            "mock": self.mock,
            "private": self.private,
            "registered_at": 1_700_000_000,
        }
        publish_data_set(self.folder, name, **(arguments | changes))

    def record(self, digest: str = DIGEST, **changes: object) -> str:
        arguments = {
            "title": "Risk of readmission",
            "researcher_name": "Ada Lovelace",
            "files": FILES,
            "received_at": 1_700_000_100,
        }
        return record_request(self.folder, digest, **(arguments | changes))

    def upstream_jobs(self) -> JobsList:
        """The jobs as a notebook of the owner's gets them from PySyft alone."""
        config = SyftJobConfig.from_syftbox_folder(str(self.folder.box), self.folder.owner_email)
        return JobClient.from_config(config).jobs

    def statuses(self) -> list[str]:
        """What PySyft says of each job."""
        return [job.status for job in self.upstream_jobs()]

    def pages(self) -> list[str]:
        """Everything that PySyft shows of the jobs as HTML: the list, then each job."""
        jobs = self.upstream_jobs()
        return [jobs._repr_html_(), *(job._repr_html_() for job in jobs)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh box at `tmp_path/site/syftbox`, with the private root beside it."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "patients.csv").write_bytes(PRIVATE_BYTES)
    (data / "drawn.csv").write_bytes(MOCK_BYTES)
    folder = SyftFolder(tmp_path / "site" / "syftbox", tmp_path / "site" / "private" / "syft", OWNER)
    return Place(folder, data / "drawn.csv", data / "patients.csv")


def contents(root: Path) -> dict[str, bytes | str]:
    """Every file (its bytes) and link (its target) below `root`, by relative path; links are not followed."""
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def walk():
    """The function `contents`, for tests (helpers cannot be imported from a conftest)."""
    return contents
