"""What a researcher's PySyft session lists: jobs to cancel and to speak about, data sets found by their name alone."""

from contextlib import AbstractContextManager

from syft_datasets import Dataset
from syft_datasets.dataset_manager import SyftDatasetManager
from syft_job import JobInfo, JobsList, SyftJobConfig

from datasites.syft_bridge.job_views import Job, Jobs
from researcher.question_state import Question
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

    def replaced(self) -> AbstractContextManager[None]:
        """A context: the job that is submitted to the same site inside it replaces this one, before it is approved.

        Raises:
            ConflictError: nobody submitted this job; it only lies in this folder.
        """
        return self._desk.replacing(self.datasite_owner_email, self.name)

    @property
    def questions(self) -> list[Question]:
        """What the site's people asked about the job, as of the last `sync()`, each with the answer that was sent.

        Raises:
            ConflictError: nobody submitted the job; it only lies in this folder.
        """
        return self._desk.questions(self.datasite_owner_email, self.name)

    def answer(self, text: str, question: Question | None = None) -> None:
        """Answer a question, by default the only one that is open; its site logs the answer, and keeps the first.

        Raises:
            InvalidInputError: several are open and none is named, or no site takes this text.
            ConflictError: nobody submitted the job, or the question was answered before.
            UnavailableError: the relay cannot be reached.
        """
        self._desk.answer(self.datasite_owner_email, self.name, text, question)


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
