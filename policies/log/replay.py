"""Replays a log from its first entry and says where it breaks the rules of terms, approvals, charges and releases."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from policies.budget.costs import Cost, request_cost
from policies.budget.renyi import GaussianMechanism
from policies.decision import Decision, SignedDecision, verify_decision
from policies.errors import CloisterError, RefusedError
from policies.jobs.terms import JobTerms
from policies.log import entries as log
from policies.log.accounts import Accounts, require
from policies.log.bundle import SiteFacts
from policies.log.halt_replay import HaltEntry, HaltReplay
from policies.log.job_entries import JobEntry
from policies.log.job_replay import JobReplay
from policies.log.people_entries import PeopleEntry
from policies.log.people_replay import PeopleReplay
from policies.log.question_entries import QuestionEntry
from policies.log.question_replay import QuestionReplay
from policies.log.recovery import LostHead, verify_recovery
from policies.log.review_entries import RequestReviewed
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.log.rules_replay import RulesReplay
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered, SetBackNoticed
from policies.log.study_replay import Study, require_superseded
from policies.log.superseded_entries import RequestSuperseded
from policies.log.witness_entries import WitnessEntry
from policies.log.witness_replay import Answered, WitnessReplay
from policies.rules.approval import RulesApproval
from policies.terms import Terms


@dataclass(frozen=True)
class Break:
    """A rule that the log breaks, and the entry (from 0) that breaks it; None for the log as a whole."""

    position: int | None
    reason: str


class Replay:
    """The state that the entries so far lead to. What breaks a rule is noted, and counted all the same."""

    def __init__(self, site: SiteFacts, owner_key: bytes) -> None:
        self.broken: list[Break] = []
        self.accounts = Accounts()
        self.counts: Counter[str] = Counter()
        self.clock_set_back = 0
        self.unbounded_studies: dict[str, set[str]] = {}
        self._site = site
        self._owner_key = owner_key
        self._now = 0
        self._pinned: set[str] = set()
        self._snapshots: dict[str, tuple[str, set[str]]] = {}
        self._requests: dict[str, Study] = {}
        self._contexts: set[str] = set()
        self._reviewed: set[str] = set()
        self.rules = RulesReplay(site.site, owner_key)
        self.people = PeopleReplay(site, owner_key, self._pinned)
        self.halts = HaltReplay(site.site, owner_key, self.people.register)
        self.questions = QuestionReplay(site.site, owner_key, self.people.register, self._was_received)
        self.jobs = JobReplay(site.site, owner_key, self._pinned, self.accounts, self.people)
        self.witness = WitnessReplay(site.site, bytes.fromhex(site.signing_key), self._answered)
        self.lost_heads: set[LostHead] = set()

    def take(self, position: int, data: bytes) -> None:
        """Replay the entry at `position` from its untrusted canonical bytes."""
        with self._noting(position):
            entry = log.parse_entry(data)
            self.clock_set_back += entry.at < self._now
            self._now = max(self._now, entry.at)
            self.counts[entry.kind] += 1
            require(
                (position == 0) == isinstance(entry, log.SiteOpened),
                "a log starts with the entry that opens the site, and has no other such entry",
            )
            with self._noting(position):
                self._apply(entry)
                self.halts.check(entry)
            self.rules.take(entry, self._now)

    @contextmanager
    def _noting(self, position: int) -> Iterator[None]:
        try:
            yield
        except CloisterError as error:
            self.broken.append(Break(position, str(error)))

    def unanswered_charges(self) -> int:
        """How many charged attempts at a step no computed round answers: burned, and still spent."""
        charged = sum(len(reservation.charged) for reservation in self.accounts.reservations.values())
        return charged - sum(len(request.answers) for request in self._requests.values())

    def _apply(self, entry: log.LogEntry) -> None:
        if isinstance(entry, JobEntry):
            self.jobs.take(entry, self._now)
            return
        if isinstance(entry, PeopleEntry):
            self.people.take(entry)
            return
        if isinstance(entry, WitnessEntry):
            self.witness.take(entry)
            return
        if isinstance(entry, HaltEntry):
            self.halts.take(entry)
            return
        if isinstance(entry, QuestionEntry):
            self.questions.take(entry)
            return
        match entry:
            case log.SiteOpened():
                self._open_site(entry)
            case log.PeerPinned():
                self._pinned.add(entry.party)
                self.people.pin(entry.party)
            case log.PopulationOpened():
                self.accounts.open_population(entry)
            case log.DataSetRegistered():
                self._register(entry)
            case log.RequestReceived():
                self._receive(entry)
            case log.DecisionTaken():
                self._decide(entry.signed)
            case log.ReservationOpened():
                self._reserve(entry)
            case log.ChargeMade():
                self._charge(entry)
            case log.ReservationClosed():
                self.accounts.give_back(entry)
            case log.RoundComputed():
                self._compute(entry)
            case log.UpdateReleased():
                self._release(entry)
            case log.RequestClosed():
                self._close(entry.request)
            case RequestSuperseded():
                self._supersede(entry)
            case LogRecovered():
                self.lost_heads.update(verify_recovery(entry.signed, self._owner_key, self._site.site).lost)
                self.jobs.drop_approvals()
            case log.ReservationLost():
                self.accounts.lose(entry)
            case BudgetWrittenOff():
                self.accounts.write_off(entry)
            case RequestReviewed():
                self._review(entry.request)
            case ApprovedByRules():
                self._approve_by_rules(entry.approval)
            case log.MessageGap() | log.MessageRefused() | SetBackNoticed() | RulesAdopted():
                pass

    def _open_site(self, entry: log.SiteOpened) -> None:
        facts = SiteFacts(**entry.model_dump(include=set(SiteFacts.model_fields)))
        same = facts == self._site and entry.site == facts.site
        require(same, "the log was opened for another site or other keys than the bundle names")

    def _register(self, entry: log.DataSetRegistered) -> None:
        self.accounts.population(entry.population)
        population, snapshots = self._snapshots.setdefault(entry.data_set, (entry.population, set()))
        require(population == entry.population, "the data set moves from one population to another")
        snapshots.add(entry.snapshot_commitment)

    def _receive(self, entry: log.RequestReceived) -> None:
        self._requests.setdefault(entry.request, Study(entry.terms))
        require(entry.terms.digest() == entry.request, "the request is named by another digest than that of its terms")
        require(entry.terms.researcher in self._pinned, "the terms name a researcher who was never pinned")
        member = entry.terms.member(self._site.site)
        if member is None:
            raise RefusedError("the terms do not name this site in their cohort")
        require(member.data_set in self._snapshots, "the terms name a data set that was never registered")

    def _close(self, request: str) -> None:
        if request in self.jobs:
            self.jobs.close(request)
        else:
            self._request(request).closed = True

    def _supersede(self, entry: RequestSuperseded) -> None:
        require_superseded(entry.request, self._terms(entry.request), self._terms(entry.by))
        reservation = self.accounts.reservations.get(entry.request)
        runs = entry.request not in self.jobs and self._requests[entry.request].answers
        require(not runs and not (reservation and reservation.charged), "a study that runs is superseded")
        self._close(entry.request)

    def _terms(self, request: str) -> Terms | JobTerms:
        return self.jobs.terms(request) if request in self.jobs else self._request(request).terms

    def _was_received(self, request: str) -> bool:
        return request in self._requests or request in self.jobs

    def _review(self, request: str) -> None:
        require(self._was_received(request), "the request was never received")
        require(request not in self._reviewed, "the request is reviewed a second time")
        self._reviewed.add(request)

    def _request(self, request: str) -> Study:
        require(request in self._requests, "the request was never received")
        return self._requests[request]

    def _answered(self, request: str) -> Answered:
        found = self._request(request)
        return Answered(found.terms, found.answers)

    def _decide(self, signed: SignedDecision) -> None:
        decision, person = signed.decision, verify_decision(signed, self._owner_key)
        request = self._request(decision.request)
        request.decision = None
        self.people.decides(signed, person, request.terms.researcher)
        self._check_decision(decision, request.terms)
        if request.approvals.takes(decision, signed.signer, self.people):
            request.decision = decision

    def _approve_by_rules(self, approval: RulesApproval) -> None:
        request = self._request(approval.request)
        request.decision = None
        self._check_decision(approval, request.terms)
        request.decision = approval

    def _check_decision(self, decision: Decision | RulesApproval, terms: Terms) -> None:
        require(decision.site == self._site.site, "the decision is for another site")
        member = terms.member(self._site.site)
        require(
            member is not None and decision.data_set == member.data_set,
            "the decision is on another data set than the terms ask this site for",
        )
        if decision.verdict == "approve":
            self._check_approval(decision, terms)

    def _check_approval(self, decision: Decision | RulesApproval, terms: Terms) -> None:
        population, snapshots = self._snapshots.get(decision.data_set, ("", set[str]()))
        require(
            decision.population == population and decision.snapshot_commitment in snapshots,
            "the approval is for a snapshot that was never registered under its population",
        )
        require(decision.expires_at <= terms.expires_at, "the approval outlives the terms")
        cost = request_cost(terms, self.accounts.population(population).order)
        require(
            Cost(decision.training_units, decision.evaluation_units) == cost,
            f"the approval is for {decision.training_units} training and {decision.evaluation_units} evaluation units, "
            f"and the terms cost {cost.training_units} and {cost.evaluation_units}",
        )

    def _approval(self, request: str) -> Decision | RulesApproval:
        """The approval under which something may happen now; it ends with the terms, or before."""
        decision = self._request(request).decision
        if decision is None or decision.verdict != "approve":
            raise RefusedError("no approval stands for this request")
        require(self._now < decision.expires_at, "the approval has expired")
        require(not self._requests[request].closed, "the request was closed before")
        return decision

    def _reserve(self, entry: log.ReservationOpened) -> None:
        self.accounts.reserve(entry)
        decision = self._approval(entry.request)
        require(
            (entry.population, entry.training_units, entry.evaluation_units)
            == (decision.population, decision.training_units, decision.evaluation_units),
            "the reservation is not for the population and the units that were approved",
        )

    def _charge(self, entry: log.ChargeMade) -> None:
        self.accounts.charge(entry)
        population = self._approval(entry.request).population
        require(entry.population == population, "the charge falls on another population than was approved")
        demanded = self._request(entry.request).demanded(log.step_round(entry.step)).get(entry.partition)
        require(demanded is not None, "the terms demand no charge on this partition for this step")
        charged = GaussianMechanism(**entry.mechanism.model_dump())
        require(charged == demanded, "the mechanism charged is not the one in the terms")

    def _compute(self, entry: log.RoundComputed) -> None:
        request = self._request(entry.request)
        require(entry.round not in request.answers, "a second answer is computed for one round")
        request.answers[entry.round] = entry
        require(entry.round_context not in self._contexts, "the masks of one round context are used twice")
        self._contexts.add(entry.round_context)
        self._approval(entry.request)
        demanded = request.demanded(entry.round)
        require(entry.round <= request.terms.sums, "the terms have no such round")
        missing = demanded.keys() - self.accounts.charged(entry.request, log.round_step(entry.round), entry.attempt)
        require(not missing, f"the round is computed without a charge for {' and '.join(sorted(missing))}")

    def _release(self, entry: log.UpdateReleased) -> None:
        request = self._request(entry.request)
        answer = request.answers.get(entry.round)
        require(
            answer is not None and answer.output_commitment == entry.output_commitment,
            "what is released is not the one answer computed for the round",
        )
        require(entry.recipient == request.terms.researcher, "the answer goes to another party than the one who asked")
        if request.terms.privacy is None and request.decision is not None:
            self.unbounded_studies.setdefault(request.decision.population, set()).add(entry.request)
