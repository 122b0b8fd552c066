"""Every name of Syft's that the bridge stands on: a new version that moves one fails here, by that name."""

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from syft_datasets import Dataset, DatasetRef, DatasetStorage, PrivateDatasetConfig, SyftBoxConfig
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_datasets.migrations.registry import DATASET_PROTOCOL_VERSION
from syft_datasets.url import SyftBoxURL
from syft_job import JobClient, JobInfo, JobsList, JobState, JobStatus, JobSubmissionMetadata, SyftJobConfig
from syft_job.client import VALID_SUBMISSION_ENTRIES
from syft_job.job_storage import JobRef, JobStorage
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION


@pytest.mark.parametrize(
    ("package", "pinned"),
    [
        ("syft", "0.10.0"),
        ("syft-rds", "0.6.1"),
        ("syft-dataset", "0.1.21"),
        ("syft-job", "0.1.40"),
        ("syft-migration", "0.1.1"),
        ("syft-notebook-ui", "0.1.1"),
        ("syft-perms", "0.1.15"),
        ("syft-permissions", "0.1.15"),
    ],
)
def test_the_versions_whose_source_was_read(package, pinned):
    assert version(package) == pinned, f"{package} changed: read its source again before moving this pin"


@pytest.mark.parametrize(
    ("callable_", "parameters"),
    [
        (DatasetRef, ["owner", "name", "protocol_version"]),
        (DatasetStorage.public_dataset_dir, ["self", "ref"]),
        (DatasetStorage.private_dataset_dir, ["self", "ref"]),
        (DatasetStorage.write_dataset_metadata, ["self", "ref", "dataset"]),
        (DatasetStorage.write_private_config, ["self", "ref", "config"]),
        (DatasetStorage.validate_dataset_name, ["dataset_name"]),
        (SyftBoxConfig.datasite_private_root, ["self", "datasite"]),
        (SyftDatasetManager, ["syftbox_folder_path", "email"]),
        (JobRef, ["datasite_email", "ds_email", "job_name", "protocol_version"]),
        (JobStorage.submission_dir, ["self", "ref"]),
        (JobStorage.write_submission, ["self", "ref", "metadata"]),
        (JobStorage.write_state, ["self", "ref", "state"]),
        (JobStorage.iter_submission_refs, ["self", "datasite_email"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_calls_take_what_we_hand_them(callable_, parameters):
    assert list(inspect.signature(callable_).parameters) == parameters


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (SyftBoxConfig, {"syftbox_folder", "email"}),
        (
            Dataset,
            {
                "uid", "created_at", "updated_at", "name", "summary", "mock_url", "private_url", "readme_url",
                "mock_files_urls",
            },
        ),
        (PrivateDatasetConfig, {"uid", "data_dir"}),
        (SyftJobConfig, {"syftbox_folder", "current_user_email"}),
        (
            JobSubmissionMetadata,
            {
                "name", "type", "submitted_by", "datasite_email", "submitted_at", "entrypoint", "files",
                "is_folder_submission", "headers",
            },
        ),
        (JobState, {"status", "approved_by", "approval_method", "rejected_by", "review_reason"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_models_have_the_fields_that_we_fill(model, fields):
    assert fields <= model.model_fields.keys()


def test_statuses_layouts_and_protocols():
    assert {status.value for status in JobStatus} == {
        "received", "pending", "approved", "rejected", "running", "done", "failed",
    }  # fmt: skip
    assert {"code", "run.sh", "config.yaml"} == VALID_SUBMISSION_ENTRIES
    assert (DATASET_PROTOCOL_VERSION, JOB_PROTOCOL_VERSION) == ("1", "1")


def test_private_places_follow_the_overridden_root(tmp_path):
    """The one override: everything that upstream says is private lies where `datasite_private_root` says."""

    class Outside(SyftBoxConfig):
        def datasite_private_root(self, datasite: str) -> Path:
            return tmp_path / "outside" / datasite

    storage = DatasetStorage(Outside(syftbox_folder=tmp_path / "box", email="a@b.example"))
    ref = DatasetRef("a@b.example", "heart", DATASET_PROTOCOL_VERSION)
    assert storage.private_dataset_dir(ref).is_relative_to(tmp_path / "outside")
    assert storage.private_metadata_path(ref).is_relative_to(tmp_path / "outside")
    assert storage.public_dataset_dir(ref).is_relative_to(tmp_path / "box" / "a@b.example" / "public")
    assert SyftBoxURL("syft://a@b.example/public/x").to_local_path(tmp_path).is_relative_to(tmp_path)


def test_the_views_that_an_owner_uses():
    for name in ("get", "get_all", "_repr_html_"):
        assert callable(getattr(SyftDatasetManager, name))
    for name in ("mock_files", "private_files", "private_dir"):
        assert isinstance(getattr(Dataset, name), property)
    assert isinstance(JobClient.jobs, property)
    for view in (JobInfo, JobsList):
        assert callable(view._repr_html_)
    manager = SyftDatasetManager("/nowhere", "a@b.example")
    assert manager.storage.config is manager.syftbox_config
