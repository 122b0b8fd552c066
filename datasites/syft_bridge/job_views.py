"""PySyft's views of jobs, with what others wrote escaped where upstream puts it into a page as it is."""

from copy import copy
from html import escape

from syft_job import JobClient, JobInfo, JobsList
from syft_job.job_repr import StderrViewer
from syft_job.job_stdout import StdoutViewer

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
    """A job whose page shows every text as it was written, and lets none of them act."""

    @property
    def stdout(self) -> Stdout:
        """A viewer of what the job printed."""
        return Stdout(self)

    @property
    def stderr(self) -> Stderr:
        """A viewer of what the job printed of errors."""
        return Stderr(self)

    def _repr_html_(self) -> str:
        shown = copy(self)
        reason = self._state.review_reason
        if reason is not None:
            shown._state = self._state.model_copy(update={"review_reason": escape(reason)})
        page: str = super(Job, shown)._repr_html_()
        return page


class Jobs(JobClient):  # type: ignore[misc]  # syft_job carries no types
    """Upstream's client for jobs, listing them as `Job`."""

    @property
    def jobs(self) -> JobsList:
        """The jobs, newest first."""
        listed = super().jobs
        jobs = [Job(it.job_metadata, it._state, it.current_user_email, self, it._ref) for it in listed]
        return JobsList(jobs, self.target_datasite_owner_email, has_do_role=self.has_do_role)


def _plain(text: str) -> str:
    return f"<pre>{escape(text[:_MAXIMUM_SHOWN_CHARACTERS])}</pre>"
