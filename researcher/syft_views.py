"""What a researcher's PySyft session lists: jobs that can be cancelled, and data sets found by their name alone."""

from syft_datasets import Dataset
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_job import JobInfo, JobsList, SyftJobConfig

from datasites.syft_bridge.job_views import Job, Jobs
from researcher.syft_desk import ResearcherDesk


class ResearcherJob(Job):
    """A job that this researcher submitted."""

    _desk: ResearcherDesk

    @classmethod
    def listed(cls, job: JobInfo, client: "ResearcherJobs") -> "ResearcherJob":
        """The job as upstream lists it, with its researcher's desk behind."""
        made = cls(job.job_metadata, job._state, job.current_user_email, client, job._ref)
        made._desk = client.desk
        return made

    def cancel(self, reason: str = "No reason was given.") -> None:
        """Stop the job at its site, or let it not begin; the site's owner reads the reason.

        Raises:
            ConflictError: nobody submitted it; it only lies in this folder.
            UnavailableError: the relay cannot be reached.
        """
        self._desk.cancel(self.datasite_owner_email, self.name, reason)


class ResearcherJobs(Jobs):
    """Upstream's client for jobs, over those that this researcher submitted."""

    def __init__(self, config: SyftJobConfig, desk: ResearcherDesk) -> None:
        super().__init__(config)
        self.desk = desk

    @property
    def jobs(self) -> JobsList:
        """The jobs, newest first."""
        jobs = [ResearcherJob.listed(it, self) for it in super().jobs]
        return JobsList(jobs, self.target_datasite_owner_email)


class ResearcherDataSets(SyftDatasetManager):  # type: ignore[misc]  # syft_datasets carries no types
    """Upstream's manager; where only one site has a data set of a name, the name alone finds it."""

    def get(self, name: str, datasite: str | None = None) -> Dataset:
        """The data set called `name` of the owner at `datasite`.

        Raises:
            FileNotFoundError: there is none, or several owners have one and none was named.
        """
        if datasite is None:
            owners = {it.owner for it in self.get_all() if it.name == name}
            datasite = owners.pop() if len(owners) == 1 else None
        return super().get(name, datasite)
