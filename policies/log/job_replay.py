"""Replays what a log says of jobs: each execution had an approval of its own, and only what might leave left."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from policies.errors import RefusedError
from policies.jobs.decision import DataSetSnapshot, JobDecision, verify_job_decision
from policies.jobs.release import ReleaseDecision, verify_release
from policies.jobs.terms import JobTerms
from policies.log import job_entries as log
from policies.log.accounts import Accounts, require
from policies.log.people_replay import PeopleReplay, Tally


@dataclass
class _Execution:
    """One execution: the approval that it began under, what it gave, and the newest word on that."""

    approval: JobDecision | None
    end: log.JobEnded | None = None
    inspection: log.OutputsInspected | None = None
    word: ReleaseDecision | None = None
    releases: Tally = field(default_factory=Tally)
    released: bool = False

    @property
    def commitment(self) -> str | None:
        return None if self.end is None else self.end.commitment


@dataclass
class _Job:
    """One job; `decision` is the newest on an execution that has not begun."""

    terms: JobTerms
    decision: JobDecision | None = None
    approvals: Tally = field(default_factory=Tally)
    executions: dict[int, _Execution] = field(default_factory=dict)
    closed: bool = False

    def execution(self, attempt: int) -> _Execution:
        require(attempt in self.executions, "this execution never began")
        return self.executions[attempt]


class JobReplay:
    """Every job and set of files. What breaks a rule raises RefusedError or NotAuthenticError, and is counted.

    `without_guarantee` counts the releases of outputs by the set of files that they came from, if its people have no
    budget here; `excluded` by the population whose guarantee does not reach them.
    """

    def __init__(
        self, site: str, owner_key: bytes, pinned: Container[str], accounts: Accounts, people: PeopleReplay
    ) -> None:
        """Replay the jobs of `site`; `pinned`, `accounts` and `people` are the log's own, and grow with it."""
        self.excluded: Counter[str] = Counter()
        self.without_guarantee: Counter[str] = Counter()
        self._site = site
        self._owner_key = owner_key
        self._pinned = pinned
        self._accounts = accounts
        self._people = people
        self._file_sets: dict[str, DataSetSnapshot] = {}
        self._jobs: dict[str, _Job] = {}

    def __contains__(self, request: str) -> bool:
        return request in self._jobs

    def take(self, entry: log.JobEntry, now: int) -> None:
        """Replay an entry, made at `now` (seconds since 1970) or before."""
        match entry:
            case log.FileSetRegistered():
                self._register(entry)
            case log.JobReceived():
                self._receive(entry)
            case log.JobTried():
                self._job(entry.request)
            case log.JobDecided():
                self._decide(entry)
            case log.JobStarted():
                self._start(entry, now)
            case log.JobEnded():
                self._end(entry)
            case log.OutputsInspected():
                self._inspect(entry)
            case log.ReleaseDecided():
                self._decide_release(entry)
            case log.OutputsReleased():
                self._release(entry)

    def terms(self, request: str) -> JobTerms:
        """The terms of a job that was received."""
        return self._job(request).terms

    def close(self, request: str) -> None:
        """No further execution of this job may begin."""
        self._job(request).closed = True

    def drop_approvals(self) -> None:
        """The log was set back: what was approved before may have run in the history that was lost."""
        for job in self._jobs.values():
            job.decision = None
            job.approvals.clear()
            for execution in job.executions.values():
                execution.releases.clear()

    def interrupted(self) -> int:
        """How many executions were cut off, or have no end in the log."""
        executions = (execution for job in self._jobs.values() for execution in job.executions.values())
        return sum(execution.end is None or execution.end.ending == "interrupted" for execution in executions)

    def _job(self, request: str) -> _Job:
        require(request in self._jobs, "the job was never received")
        return self._jobs[request]

    def _register(self, entry: log.FileSetRegistered) -> None:
        offered = DataSetSnapshot(name=entry.file_set, commitment=entry.commitment, population=entry.population)
        before, self._file_sets[entry.file_set] = self._file_sets.get(entry.file_set, offered), offered
        if entry.population is not None:
            self._accounts.population(entry.population)
        require(before.population == entry.population, "the set of files moves from one population to another")

    def _receive(self, entry: log.JobReceived) -> None:
        again = entry.request in self._jobs
        self._jobs.setdefault(entry.request, _Job(entry.terms))
        require(entry.terms.digest() == entry.request, "the job is named by another digest than that of its terms")
        require(not again, "the job is received a second time")
        require(entry.terms.site == self._site, "the terms ask another site")
        require(entry.terms.researcher in self._pinned, "the terms name a researcher who was never pinned")
        known = all(name in self._file_sets for name in entry.terms.data_sets)
        require(known, "the terms name a set of files that was never registered")

    def _decide(self, entry: log.JobDecided) -> None:
        decision, person = entry.signed.decision, verify_job_decision(entry.signed, self._owner_key)
        job = self._job(decision.request)
        self._people.decides(entry.signed, person, job.terms.researcher)
        require(decision.site == self._site, "the decision is for another site")
        begun = len(job.executions)
        require(
            decision.attempt == begun + 1,
            f"the decision is on execution {decision.attempt} of the job, and {begun} have begun",
        )
        if decision.verdict == "approve":
            self._check_approval(decision, job.terms)
        if job.approvals.takes(decision, entry.signed.signer, self._people):
            job.decision = decision

    def _check_approval(self, decision: JobDecision, terms: JobTerms) -> None:
        names = tuple(files.name for files in decision.data_sets)
        require(names == terms.data_sets, "the approval is on other sets of files than the terms ask for")
        require(self._as_registered(decision), "the approval is on files that are not registered as it names them")
        granted = decision.limits.model_dump()
        within = all(granted[name] <= most for name, most in terms.limits.model_dump().items())
        require(within, "the approval grants more than the terms ask for")
        require(decision.expires_at <= terms.expires_at, "the approval outlives the terms")

    def _as_registered(self, decision: JobDecision) -> bool:
        return all(self._file_sets.get(files.name) == files for files in decision.data_sets)

    def _start(self, entry: log.JobStarted, now: int) -> None:
        job = self._job(entry.request)
        approval, job.decision = job.decision, None
        job.executions.setdefault(entry.attempt, _Execution(approval))
        if approval is None or approval.verdict != "approve" or approval.attempt != entry.attempt:
            raise RefusedError("no approval stands for this execution")
        require(now < approval.expires_at, "the approval has expired")
        require(not job.closed, "the job was closed before")
        require(self._as_registered(approval), "the files were registered anew after the approval")

    def _end(self, entry: log.JobEnded) -> None:
        execution = self._job(entry.request).execution(entry.attempt)
        require(execution.end is None, "the execution ends a second time")
        execution.end = entry

    def _inspect(self, entry: log.OutputsInspected) -> None:
        execution = self._job(entry.request).execution(entry.attempt)
        require(execution.commitment is not None, "the execution gave no outputs that could be inspected")
        require(execution.inspection is None, "the outputs of one execution are inspected twice")
        execution.inspection = entry

    def _decide_release(self, entry: log.ReleaseDecided) -> None:
        release, person = entry.signed.release, verify_release(entry.signed, self._owner_key)
        job = self._job(release.request)
        self._people.decides(entry.signed, person, job.terms.researcher)
        execution = job.execution(release.attempt)
        require(release.site == self._site, "the signed word is for another site")
        require(release.commitment == execution.commitment, "the signed word is on other outputs than this execution's")
        require(
            release.recipient == job.terms.researcher,
            "the signed word names another party than the one who asked",
        )
        if execution.releases.takes(release, entry.signed.signer, self._people):
            execution.word = release

    def _release(self, entry: log.OutputsReleased) -> None:
        job = self._job(entry.request)
        execution = job.execution(entry.attempt)
        again, execution.released = execution.released, True
        self._count_release(execution)
        require(not again, "the outputs of one execution are released twice")
        require(entry.commitment == execution.commitment, "what is released is not what this execution gave")
        require(entry.recipient == job.terms.researcher, "the outputs go to another party than the one who asked")
        withheld = execution.word is not None and execution.word.verdict == "withhold"
        require(not withheld, "these outputs were withheld")
        if entry.ground == "by-hand":
            require(execution.word is not None, "no signed word lets these outputs go")
        else:
            let = execution.approval is not None and execution.approval.release == "clean"
            require(let, "the approval has these outputs wait for a person's word")
            clean = execution.inspection is not None and execution.inspection.clean
            require(clean, "no inspection found these outputs clean")

    def _count_release(self, execution: _Execution) -> None:
        files = () if execution.approval is None else execution.approval.data_sets
        self.excluded.update({it.population for it in files if it.population is not None})
        self.without_guarantee.update(it.name for it in files if it.population is None)
