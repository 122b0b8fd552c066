"""PySyft's jobs in an owner's session: its words for approving, rejecting and sharing, each a signed word."""

from pathlib import Path
from typing import Any

from syft_job import JobInfo, JobsList, JobStatus, SyftJobConfig
from syft_job.job_ref import JobRef
from syft_job.job_runner import SyftJobRunner, get_job_timeout_seconds
from syft_job.job_storage import JobStorage
from syft_job.models import JobState

from datasites.syft_bridge.analysis_jobs import REQUEST
from datasites.syft_bridge.job_views import Job, Jobs
from datasites.syft_bridge.owner_desk import OwnerDesk
from policies.errors import RefusedError


class OwnerJob(Job):
    """A job as the owner's notebook lists it; what it covers is fixed at that moment."""

    _desk: OwnerDesk
    _approval_digest: str

    @classmethod
    def listed(cls, job: JobInfo, client: "OwnerJobs", approval_digest: str) -> "OwnerJob":
        """The job, with the digest of all that its approval would cover now."""
        made = cls(job.job_metadata, job._state, job.current_user_email, client, job._ref)
        made._desk, made._approval_digest = client.desk, approval_digest
        return made

    def approve(self, reason: str | None = None, approval_method: str = "manual") -> None:
        """Approve one execution of exactly what was listed, with the key of this session.

        Raises:
            RefusedError: something has changed since it was listed, or a rule forbids it.
            ValueError: it was not pending when it was listed.
        """
        if self._state.status is JobStatus.PENDING:
            self._desk.approve(self._request, self._approval_digest)
        super().approve(reason, approval_method)

    def reject(self, reason: str | None = None) -> None:
        """Deny the job, with the key of this session; its researcher reads the reason."""
        if self._state.status is JobStatus.PENDING:
            self._desk.deny(self._request, reason or "No reason was given.")
        super().reject(reason)

    def rerun(self) -> None:
        """Approve one more execution of a job that failed."""
        self._desk.approve(self._request, self._approval_digest)

    def share_outputs(self, users: list[str]) -> None:
        """Release the held outputs to the researcher who asked, with the key of this session."""
        self._release(users, logs=False)

    def share_logs(self, users: list[str]) -> None:
        """Release the held outputs, and what the job printed, to the researcher who asked."""
        self._release(users, logs=True)

    def cancel(self, reason: str = "No reason was given.") -> None:
        """Stop the job, or let it not begin; its researcher reads the reason."""
        self._desk.cancel(self._request, reason)

    def accept_by_depositing_result(self, path: str) -> Path:
        """Raises RefusedError: what leaves is what the approved code wrote, and nothing else."""
        raise RefusedError("A result is what the approved code wrote; a file made by hand is not sent in its place.")

    @property
    def _request(self) -> str:
        return str(self.job_headers.get(REQUEST, ""))

    def _release(self, users: list[str], *, logs: bool) -> None:
        if list(users) != [self.submitted_by]:
            raise RefusedError(
                f"Outputs go to the researcher who asked for them, {self.submitted_by}, and nobody else."
            )
        self._desk.release(self._request, logs=logs)


class OwnerJobs(Jobs):
    """Upstream's client for jobs over the mirrored ones."""

    def __init__(self, config: SyftJobConfig, desk: OwnerDesk) -> None:
        super().__init__(config)
        self.desk = desk
        self.manager = _Picture(config)

    @property
    def jobs(self) -> JobsList:
        """The jobs, newest first."""
        listed = super().jobs
        digests = self.desk.approval_digests([str(it.job_headers.get(REQUEST, "")) for it in listed])
        jobs = [OwnerJob.listed(it, self, digests.get(str(it.job_headers.get(REQUEST, "")), "")) for it in listed]
        return JobsList(jobs, self.target_datasite_owner_email, has_do_role=self.has_do_role)


class OwnerRunner(SyftJobRunner):  # type: ignore[misc]  # syft_job carries no types
    """Upstream's runner, which runs nothing: the service does, in its sandbox; this waits for it."""

    def __init__(self, config: SyftJobConfig, desk: OwnerDesk) -> None:
        super().__init__(config)
        self._desk = desk

    def process_approved_jobs(
        self,
        stream_output: bool = True,
        timeout: int | None = None,
        skip_job_names: list[str] | None = None,
        share_outputs_with_submitter: bool = False,
        share_logs_with_submitter: bool = False,
    ) -> None:
        """Wait until each approved job has ended and, if asked, release what the inspection had nothing to hold in."""
        self._desk.process(
            seconds=get_job_timeout_seconds() if timeout is None else timeout,
            outputs=share_outputs_with_submitter,
            logs=share_logs_with_submitter,
        )

    def share_job_results(self, job_name: str, share_outputs: bool, share_logs: bool, user: str | None = None) -> None:
        """Release a job's outputs and, if asked, what it printed."""
        ref = self._find_jobref_from_name(job_name, user)
        request = str(self.manager.read_submission(ref).headers.get(REQUEST, ""))
        if share_outputs or share_logs:
            self._desk.release(request, logs=share_logs)

    def run(self) -> None:
        """Raises RefusedError: the service runs jobs."""
        raise RefusedError("Jobs are run by «datasite serve», each once for each approval.")

    def reset_all_jobs(self) -> None:
        """Raises RefusedError: what was received stays."""
        raise RefusedError("Jobs that were received stay, as the log says they were.")


class _Picture(JobStorage):  # type: ignore[misc]  # syft_job carries no types
    """The mirrored jobs. Decisions are taken in the database, from which the picture is drawn: nothing is set here."""

    def write_state(self, ref: JobRef, state: JobState) -> Path:
        path: Path = self.review_dir(ref) / "state.yaml"
        return path

    def write_submission(self, ref: JobRef, metadata: Any) -> Path:
        raise RefusedError("Jobs are submitted by researchers.")
