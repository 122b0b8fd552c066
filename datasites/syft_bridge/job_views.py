"""PySyft's client for jobs: names are checked before a folder is made, and what a job printed is shown escaped."""

from html import escape
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from syft_job import JobClient, JobInfo, JobsList
from syft_job.job_repr import StderrViewer
from syft_job.job_stdout import StdoutViewer

from datasites.syft_bridge.job_storage import present_schema
from policies.errors import InvalidInputError, RefusedError
from policies.jobs.names import JobName

_JOB_NAME: TypeAdapter[str] = TypeAdapter(JobName)
_MAXIMUM_SHOWN_CHARACTERS = 100_000


class Stdout(StdoutViewer):  # type: ignore[misc]  # syft_job carries no types
    """What a job printed; as a page, plain text."""

    def _repr_html_(self) -> str:
        return _plain(str(self))


class Stderr(StderrViewer):  # type: ignore[misc]  # syft_job carries no types
    """What a job printed of errors; as a page, plain text."""

    def _repr_html_(self) -> str:
        return _plain(str(self))


class Job(JobInfo):  # type: ignore[misc]  # syft_job carries no types
    """A job whose printed text is shown as it was written, and never acts."""

    @property
    def stdout(self) -> Stdout:
        """A viewer of what the job printed."""
        return Stdout(self)

    @property
    def stderr(self) -> Stderr:
        """A viewer of what the job printed of errors."""
        return Stderr(self)


class Jobs(JobClient):  # type: ignore[misc]  # syft_job carries no types
    """Upstream's client for jobs, listing them as `Job`."""

    def submit_python_job(self, user: str, code_path: str, job_name: str | None = "", **arguments: Any) -> Path:
        """Write the submission folder of a Python job, under a name that sites accept.

        Raises:
            InvalidInputError: no site accepts the name; nothing was written.
        """
        try:
            _JOB_NAME.validate_python(job_name or "unnamed")
        except ValidationError as error:
            raise InvalidInputError(
                "No site accepts this name for a job; use at most 100 letters, digits, spaces and _.- after a letter."
            ) from error
        self.manager.peer_schemas[user] = present_schema()
        job_dir: Path = super().submit_python_job(user, code_path, job_name, **arguments)
        return job_dir

    def submit_bash_job(self, user: str, script: str, job_name: str = "") -> Path:
        """Raises RefusedError: no site runs shell scripts."""
        raise RefusedError("No site runs shell scripts; submit Python with submit_python_job(…) instead.")

    @property
    def jobs(self) -> JobsList:
        """The jobs, newest first."""
        listed = super().jobs
        jobs = [Job(it.job_metadata, it._state, it.current_user_email, self, it._ref) for it in listed]
        return JobsList(jobs, self.target_datasite_owner_email, has_do_role=self.has_do_role)


def _plain(text: str) -> str:
    return f"<pre>{escape(text[:_MAXIMUM_SHOWN_CHARACTERS])}</pre>"
