"""Every name of Syft's that the sessions stand on: a new version that moves one fails here, by that name."""

import inspect
import re
from pathlib import Path

import pytest
import syft as sy
from syft.sync.file_writer import FileWriter
from syft.sync.peers.peer import Peer, PeerState
from syft.sync.peers.peer_store import PeerStore
from syft.sync.platforms.base_platform import BasePlatform
from syft.sync.syftbox_manager import SyftboxManager
from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncer
from syft.sync.utils.print_utils import print_peer_request_sent
from syft.sync.version.peer_manager import PeerManager, PeerManagerConfig
from syft.sync.version.version_info import VersionInfo
from syft_datasets.config import METADATA_FILENAME, PRIVATE_METADATA_FILENAME
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_job import JobClient, JobInfo, JobsList, JobSubmissionMetadata, SyftJobConfig
from syft_job.job_repr import StderrViewer
from syft_job.job_runner import SyftJobRunner, get_job_timeout_seconds
from syft_job.job_stdout import StdoutViewer
from syft_job.job_storage import JobStorage
from syft_job.migrations.registry import job_registry
from syft_permissions.spec.ruleset import PERMISSION_FILE_NAME
from syft_rds import SyftRDSClient

from datasites.syft_bridge.description import README
from datasites.syft_bridge.engine import Engine
from datasites.syft_bridge.owner_jobs import OwnerJob
from policies.jobs.names import SYFT_FILES

OWN_TRANSPORT = {
    "for_colab", "for_jupyter", "from_config", "pair_with_mock_drive_service_connection", "read_local_version",
    "write_local_version", "sync_file_lock", "reset_all_connection_caches", "create_checkpoint",
    "compact_outboxes_if_needed", "should_create_checkpoint", "try_create_checkpoint",
}  # fmt: skip
"""Public names of upstream's engine that only its own login, or only its own service, calls."""


def public(kind: type) -> set[str]:
    """What a class of Syft's adds to the public names of its bases."""
    return {name for name in vars(kind) if not name.startswith("_") and name not in ("model_config", "model_fields")}


def test_the_engine_answers_every_public_call_of_upstreams():
    """A method that a new version adds must be looked at: it may speak to a transport that is not ours."""
    callables = {name for name in public(SyftboxManager) if callable(getattr(SyftboxManager, name))}
    assert callables - OWN_TRANSPORT == public(Engine) - {"over"}
    for name in sorted(callables - OWN_TRANSPORT - {"sync"}):
        theirs = list(inspect.signature(getattr(SyftboxManager, name)).parameters)
        assert list(inspect.signature(getattr(Engine, name)).parameters) == theirs, name
    assert isinstance(SyftboxManager.peers, property)


def test_the_client_calls_its_engine_by_the_names_that_are_answered():
    called = set(re.findall(r"self\.sync_engine\.([a-z_]+)", inspect.getsource(SyftRDSClient)))
    known = public(Engine) | set(SyftboxManager.model_fields) | {"on", "peers", "sync_file_lock"}
    assert "push_job_files" in called
    assert called <= known


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (SyftRDSClient, {"sync_engine", "job_client", "job_runner", "dataset_manager"}),
        (
            SyftboxManager,
            {
                "file_writer", "syftbox_folder", "email", "peer_manager", "datasite_owner_syncer", "has_do_role",
                "has_ds_role",
            },
        ),
        (FileWriter, {"base_path"}),
        (
            PeerManagerConfig,
            {
                "syftbox_folder", "email", "has_do_role", "has_ds_role", "force_ignore_peer_version",
                "suppress_version_warnings",
            },
        ),
        (Peer, {"email", "platforms", "state", "version"}),
        (BasePlatform, {"name", "module_path"}),
        (
            VersionInfo,
            {
                "syft_client_version", "min_supported_syft_client_version", "protocol_version",
                "min_supported_protocol_version", "syft_client_install_source",
            },
        ),
        (DatasiteOwnerSyncer, {"event_cache"}),
        (JobSubmissionMetadata, {"name", "entrypoint", "dependencies"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_models_have_the_fields_that_the_sessions_fill(model, fields):
    assert fields <= model.model_fields.keys()


@pytest.mark.parametrize(
    ("callable_", "parameters"),
    [
        (PeerManager.from_config, ["config", "email"]),
        (PeerStore.set_peers, ["self", "peers"]),
        (SyftboxManager._emit, ["self", "event", "args", "kwargs"]),
        (DatasiteOwnerSyncer.register_any_shared_collection, ["self", "tag", "content_hash"]),
        (print_peer_request_sent, ["peer_email"]),
        (JobClient, ["config", "target_datasite_owner_email", "peer_schemas"]),
        (
            JobClient.submit_python_job,
            ["self", "user", "code_path", "job_name", "dependencies", "entrypoint"],
        ),
        (JobClient.submit_bash_job, ["self", "user", "script", "job_name"]),
        (JobInfo, ["job_metadata", "state", "current_user_email", "client", "ref"]),
        (JobsList, ["jobs", "root_email", "has_do_role"]),
        (JobStorage, ["config", "registry", "peer_schemas"]),
        (JobStorage.review_dir, ["self", "ref"]),
        (JobStorage.write_submission, ["self", "ref", "metadata"]),
        (job_registry.schema_for_protocol_version, ["protocol_version"]),
        (JobSubmissionMetadata.load, ["path"]),
        (StdoutViewer, ["job_info"]),
        (StderrViewer, ["job_info"]),
        (
            SyftJobRunner.process_approved_jobs,
            [
                "self", "stream_output", "timeout", "skip_job_names", "share_outputs_with_submitter",
                "share_logs_with_submitter",
            ],
        ),
        (SyftJobRunner.share_job_results, ["self", "job_name", "share_outputs", "share_logs", "user"]),
        (SyftJobRunner._find_jobref_from_name, ["self", "job_name", "user"]),
        (get_job_timeout_seconds, []),
        (
            SyftDatasetManager.create,
            [
                "self", "name", "mock_path", "private_path", "summary", "readme_path", "location", "tags", "users",
                "protocol_versions",
            ],
        ),
        (SyftDatasetManager.delete, ["self", "name", "datasite", "require_confirmation"]),
        (SyftDatasetManager.get_private_dataset_files, ["self", "name"]),
        (SyftDatasetManager.migrate, ["self", "name", "to_version", "users"]),
        (sy.resolve_dataset_files_path, ["dataset_name", "syftbox_folder", "owner_email", "client"]),
        (sy.load_dataset_code, ["path", "owner_email", "syftbox_folder", "client", "module_name"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)  # fmt: skip
def test_calls_take_what_they_are_handed(callable_, parameters):
    assert list(inspect.signature(callable_).parameters) == parameters


def test_an_owners_job_answers_every_word_that_upstreams_would_act_on():
    acting = {"approve", "reject", "rerun", "accept_by_depositing_result", "share_outputs", "share_logs"}
    methods = {name for name in public(JobInfo) if inspect.isfunction(vars(JobInfo)[name])}
    assert methods == acting
    assert acting <= public(OwnerJob)


def test_a_runner_does_nothing_by_itself_beyond_what_is_answered():
    acting = {name for name in public(SyftJobRunner) if inspect.isfunction(vars(SyftJobRunner)[name])}
    assert acting == {"process_approved_jobs", "share_job_results", "run", "reset_all_jobs", "check_for_new_jobs"}


def test_the_states_of_a_peer_and_the_order_in_which_they_are_listed():
    assert {state.value for state in PeerState} == {"accepted", "requested_by_peer", "rejected", "requested_by_me"}


def test_the_first_dependency_is_where_syft_itself_comes_from(tmp_path: Path):
    script = tmp_path / "main.py"
    script.write_text("")
    client = JobClient(SyftJobConfig(syftbox_folder=tmp_path / "box", current_user_email="a@lab.example"))
    client.peer_install_sources["b@site.example"] = "syft==0.10.0"
    folder = client.submit_python_job("b@site.example", str(script), "job", dependencies=["pandas>=2"])
    written = JobSubmissionMetadata.load(folder / "config.yaml")
    assert written.dependencies == ["syft==0.10.0", "pandas>=2"]
    assert folder.relative_to(tmp_path / "box").parts[0] == "b@site.example"


def test_the_names_that_syfts_own_files_have():
    own = {METADATA_FILENAME, PRIVATE_METADATA_FILENAME, PERMISSION_FILE_NAME, README}
    assert {name.lower() for name in own} == SYFT_FILES
