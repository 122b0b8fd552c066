"""Upstream's storage of jobs, told that everybody reads the present version: finding that out anew takes it 30 ms."""

from functools import cache

from syft_job import SyftJobConfig
from syft_job.job_storage import JobStorage
from syft_job.migrations.registry import JOB_PROTOCOL_VERSION, job_registry
from syft_migration import ProtocolSchema


def job_storage(config: SyftJobConfig, *readers: str) -> JobStorage:
    """The storage for files that these addresses read."""
    return JobStorage(config, peer_schemas=dict.fromkeys(readers, present_schema()))


@cache
def present_schema() -> ProtocolSchema:
    """What upstream calls a schema: the versions of its own models, as they are now."""
    return job_registry.schema_for_protocol_version(JOB_PROTOCOL_VERSION)
