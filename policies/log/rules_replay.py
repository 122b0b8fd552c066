"""Replays what a log says of house rules: which held when, and that nothing was approved which they forbid."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.budget.costs import request_cost
from policies.decision import Decision, SignedDecision
from policies.errors import RefusedError
from policies.jobs.decision import SignedJobDecision
from policies.jobs.terms import JobTerms
from policies.log import entries as log
from policies.log import job_entries
from policies.log.accounts import require
from policies.log.budget_entries import PopulationOpened, ReservationOpened
from policies.log.revocation_entries import ApprovalRevoked
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.people.rules import require_people
from policies.rules.adoption import Adoption, verify_adoption
from policies.rules.approval import RulesApproval
from policies.rules.approved import Approved
from policies.rules.auto_approval import automatic_obstacles, looser
from policies.rules.house_rules import HouseRules
from policies.rules.jobs import AskedJob, job_obstacles
from policies.rules.studies import AskedStudy, study_obstacles
from policies.terms import Terms


@dataclass
class _Asked:
    """A request and its newest approval; `complete` once it has given all its rounds."""

    terms: Terms
    received_at: int
    approval: Decision | RulesApproval | None = None
    reserved: bool = False
    complete: bool = False
    closed: bool = False

    @property
    def stands(self) -> bool:
        """Whether a person approved it, and it did not end before its time."""
        return isinstance(self.approval, Decision) and self.reserved and (self.complete or not self.closed)


@dataclass
class _AskedJob:
    terms: JobTerms
    waiting_since: int | None


@dataclass
class _People:
    """What data sets and sets of files are about, and at which δ and filter order their budgets count."""

    of: dict[str, str] = field(default_factory=dict)
    budgets: dict[str, PopulationOpened] = field(default_factory=dict)

    def budget(self, population: str) -> PopulationOpened:
        require(population in self.budgets, "the population was never opened")
        return self.budgets[population]


class RulesReplay:
    """The rules that hold, and all that was approved under any. What breaks them raises RefusedError, and is counted.

    Signatures of decisions, and what they cover, are for others to check.
    """

    def __init__(self, site: str, owner_key: bytes) -> None:
        self._site = site
        self._owner_key = owner_key
        self._adoption: Adoption | None = None
        self._approved = Approved()
        self._people = _People()
        self._studies: dict[str, _Asked] = {}
        self._jobs: dict[str, _AskedJob] = {}

    def take(self, entry: log.LogEntry, now: int) -> None:
        """Replay an entry, made at `now` (seconds since 1970) or before."""
        match entry:
            case RulesAdopted():
                self._adopt(entry)
            case PopulationOpened():
                self._people.budgets.setdefault(entry.population, entry)
            case log.DataSetRegistered():
                self._people.of.setdefault(entry.data_set, entry.population)
            case job_entries.FileSetRegistered() if entry.population is not None:
                self._people.of.setdefault(entry.file_set, entry.population)
            case log.RequestReceived():
                self._studies.setdefault(entry.request, _Asked(entry.terms, now))
            case job_entries.JobReceived():
                self._jobs.setdefault(entry.request, _AskedJob(entry.terms, now))
            case log.DecisionTaken():
                self._decide(entry.signed)
            case ApprovedByRules():
                self._approve_by_rules(entry.approval, now)
            case ReservationOpened():
                self._take_effect(entry, now)
            case job_entries.JobDecided():
                self._decide_job(entry.signed, now)
            case job_entries.ReleaseDecided() if self._adoption is not None:
                rules = self._adoption.rules.approvals
                require_people(rules, entry.signed, entry.signed.release.approvals, rules.releases)
            case log.UpdateReleased() if (study := self._studies.get(entry.request)) is not None:
                study.complete |= entry.round == study.terms.sums
            case ApprovalRevoked() if (study := self._studies.get(entry.signed.revocation.request)) is not None:
                study.approval = None
            case log.RequestClosed() if (study := self._studies.get(entry.request)) is not None:
                study.closed = True
            case _:
                pass

    def _adopt(self, entry: RulesAdopted) -> None:
        before, self._adoption = self._adoption, entry.signed.adoption
        verify_adoption(entry.signed, self._owner_key, self._site)
        previous = None if before is None else before.digest()
        require(entry.signed.adoption.previous == previous, "the house rules replace others than those that held")

    def _rules_named(self, digest: str) -> HouseRules:
        """The rules that hold, which whatever is decided must name."""
        if self._adoption is None:
            raise RefusedError("no house rules were adopted before the decision")
        require(digest == self._adoption.digest(), "the decision names other house rules than those that held")
        return self._adoption.rules

    def _decide(self, signed: SignedDecision) -> None:
        decision = signed.decision
        study = self._studies.get(decision.request)
        if study is not None:
            study.approval = decision if decision.verdict == "approve" else None
        rules = self._rules_named(decision.house_rules).approvals
        require_people(rules, signed, decision.approvals, rules.studies)

    def _approve_by_rules(self, approval: RulesApproval, now: int) -> None:
        study = self._studies.get(approval.request)
        if study is None:
            return
        require(study.approval is None, "the rules approve what was approved before")
        study.approval = approval
        rules = self._rules_named(approval.house_rules)
        require(rules.auto_approval is not None, "the house rules approve nothing by themselves")
        precedent = self._studies.get(approval.precedent)
        if precedent is None or not isinstance(precedent.approval, Decision) or not precedent.stands:
            raise RefusedError("the rules approve it because of a request on which no person's approval stands")
        require(now < precedent.approval.expires_at, "a person's approval of the precedent had expired")
        enough = precedent.approval.approvals >= rules.approvals.studies
        require(enough, "fewer persons approved the precedent than the rules ask for")
        same = (precedent.approval.data_set, precedent.approval.population) == (approval.data_set, approval.population)
        require(same, "the precedent is on other data")
        order = self._people.budget(approval.population).filter_order
        cost, known = request_cost(study.terms, order), request_cost(precedent.terms, order)
        _require_none(looser(study.terms, precedent.terms, cost, known), "the request is not like its precedent")

    def _take_effect(self, entry: ReservationOpened, now: int) -> None:
        study = self._studies.get(entry.request)
        if study is None or study.approval is None:
            return
        again, study.reserved = study.reserved, True
        automatic = isinstance(study.approval, RulesApproval)
        try:
            self._require_kept(study, study.approval, now)
        finally:
            if not again:
                self._approved.add(study.approval.population, study.terms, now, automatic=automatic)

    def _require_kept(self, study: _Asked, approval: Decision | RulesApproval, now: int) -> None:
        rules = self._rules_named(approval.house_rules)
        before = self._approved.before(rules, approval.population, study.terms.researcher, now)
        delta = self._people.budget(approval.population).delta
        asked = AskedStudy(study.terms, approval.data_set, study.received_at, delta, before)
        _require_none(study_obstacles(rules, asked, now), "the approval breaks the rules that it names")
        if isinstance(approval, RulesApproval):
            obstacles = automatic_obstacles(rules, study.terms, before.automatic)
            _require_none(obstacles, "the rules do not approve it without a person")

    def _decide_job(self, signed: SignedJobDecision, now: int) -> None:
        decision = signed.decision
        job = self._jobs.get(decision.request)
        waiting = None
        if job is not None:
            waiting, job.waiting_since = job.waiting_since, None
        rules = self._rules_named(decision.house_rules)
        require_people(rules.approvals, signed, decision.approvals, rules.approvals.jobs)
        if job is None or decision.verdict != "approve":
            return
        populations = {self._people.of[name] for name in job.terms.data_sets if name in self._people.of}
        about = (name for name, population in self._people.of.items() if population in populations)
        asked = AskedJob(job.terms, tuple({*job.terms.data_sets, *about}), waiting)
        _require_none(job_obstacles(rules, asked, now), "the approval breaks the rules that it names")
        held = decision.release == "by-hand" or rules.jobs.release_clean
        require(held, "the approval lets clean outputs go, and the rules that it names have them wait for the owner")


def _require_none(obstacles: Sequence[str], what: str) -> None:
    require(not obstacles, f"{what}: {' '.join(obstacles)}")
