"""Upstream's storage of jobs, as both sides use it: quick, and with no reason in it that could act in a page."""

from collections.abc import Mapping
from functools import cache

from syft_job import JobStatus, SyftJobConfig
from syft_job.job_storage import JobStorage
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION, job_registry
from syft_migration import ProtocolSchema

SYFT_STATUS: Mapping[str, JobStatus] = {
    "received": JobStatus.RECEIVED,
    "refused": JobStatus.REJECTED,
    "pending": JobStatus.PENDING,
    "approved": JobStatus.APPROVED,
    "denied": JobStatus.REJECTED,
    "running": JobStatus.RUNNING,
    # To a PySyft user «done» promises files: as long as the outputs are held none lie here, and none may ever.
    "held": JobStatus.RUNNING,
    "released": JobStatus.DONE,
    "withheld": JobStatus.REJECTED,
    "failed": JobStatus.FAILED,
    "cancelled": JobStatus.FAILED,
    "expired": JobStatus.FAILED,
    "revoked": JobStatus.REJECTED,
    "superseded": JobStatus.FAILED,
}
"""Our words for where a job stands, in PySyft's."""


def job_storage(config: SyftJobConfig, *readers: str) -> JobStorage:
    """The storage for files that these addresses read, all in the present version.

    Upstream would find out anew for each file what that version is, which takes it 30 ms.
    """
    return JobStorage(config, peer_schemas=dict.fromkeys(readers, present_schema()))


@cache
def present_schema() -> ProtocolSchema:
    """What upstream calls a schema: the versions of its own models, as they are now."""
    return job_registry.schema_for_protocol_version(JOB_PROTOCOL_VERSION)


def shown_reason(text: str) -> str:
    """What somebody wrote, as it may stand in a job's state: upstream puts that into its pages as it is."""
    return text.replace("<", "‹").replace(">", "›")
