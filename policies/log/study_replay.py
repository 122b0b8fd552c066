"""Replays what a log says of studies: each round had an approval and its charges, and gave one answer."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from policies.budget.costs import Cost, Partition, request_cost, round_mechanisms
from policies.budget.renyi import GaussianMechanism
from policies.decision import Decision, SignedDecision, verify_decision
from policies.errors import RefusedError
from policies.jobs.terms import JobTerms
from policies.log import entries as log
from policies.log.accounts import Accounts, require
from policies.log.budget_entries import ChargeMade, ReservationOpened, round_step, step_round
from policies.log.people_replay import PeopleReplay, Tally
from policies.log.rules_entries import ApprovedByRules
from policies.rules.approval import RulesApproval
from policies.statements.schema import Digest, PartyId
from policies.terms import Terms

StudyEntry = (
    log.DataSetRegistered
    | log.RequestReceived
    | log.DecisionTaken
    | ApprovedByRules
    | ReservationOpened
    | ChargeMade
    | log.RoundComputed
    | log.UpdateReleased
)


@dataclass
class Study:
    """One study, as far as the entries so far tell."""

    terms: Terms
    decision: Decision | RulesApproval | None = None
    approvals: Tally = field(default_factory=Tally)
    answers: dict[int, log.RoundComputed] = field(default_factory=dict)
    closed: bool = False

    def demanded(self, round_number: int | None) -> Mapping[Partition, GaussianMechanism]:
        """What the terms run in this round, on each partition; nothing outside their rounds."""
        if round_number is None or round_number > self.terms.sums:
            return {}
        return round_mechanisms(self.terms, round_number)


class StudyReplay:
    """Every data set and study. What breaks a rule raises RefusedError or NotAuthenticError, and is counted.

    `unbounded` names, by population, the studies without noise of which an answer was released.
    """

    def __init__(
        self, site: PartyId, owner_key: bytes, pinned: Container[PartyId], accounts: Accounts, people: PeopleReplay
    ) -> None:
        """Replay the studies of `site`; `pinned`, `accounts` and `people` are the log's own, and grow with it."""
        self.unbounded: dict[str, set[str]] = {}
        self._site = site
        self._owner_key = owner_key
        self._pinned = pinned
        self._accounts = accounts
        self._people = people
        self._now = 0
        self._snapshots: dict[str, tuple[str, set[str]]] = {}
        self._studies: dict[str, Study] = {}
        self._contexts: set[str] = set()

    def __contains__(self, request: str) -> bool:
        return request in self._studies

    def take(self, entry: StudyEntry, now: int) -> None:
        """Replay an entry, made at `now` (seconds since 1970) or before."""
        self._now = now
        match entry:
            case log.DataSetRegistered():
                self._register(entry)
            case log.RequestReceived():
                self._receive(entry)
            case log.DecisionTaken():
                self._decide(entry.signed)
            case ApprovedByRules():
                self._approve_by_rules(entry.approval)
            case ReservationOpened():
                self._reserve(entry)
            case ChargeMade():
                self._charge(entry)
            case log.RoundComputed():
                self._compute(entry)
            case log.UpdateReleased():
                self._release(entry)

    def study(self, request: str) -> Study:
        """The study whose terms have this digest.

        Raises:
            RefusedError: it was never received.
        """
        require(request in self._studies, "the request was never received")
        return self._studies[request]

    def drop_approvals(self) -> None:
        """The log was set back: what was signed so far, and waits for more, counts for nothing."""
        for study in self._studies.values():
            study.approvals.clear()

    def answers(self) -> int:
        """How many rounds were answered, of all studies."""
        return sum(len(study.answers) for study in self._studies.values())

    def _register(self, entry: log.DataSetRegistered) -> None:
        self._accounts.population(entry.population)
        population, snapshots = self._snapshots.setdefault(entry.data_set, (entry.population, set()))
        require(population == entry.population, "the data set moves from one population to another")
        snapshots.add(entry.snapshot_commitment)

    def _receive(self, entry: log.RequestReceived) -> None:
        self._studies.setdefault(entry.request, Study(entry.terms))
        require(entry.terms.digest() == entry.request, "the request is named by another digest than that of its terms")
        require(entry.terms.researcher in self._pinned, "the terms name a researcher who was never pinned")
        member = entry.terms.member(self._site)
        if member is None:
            raise RefusedError("the terms do not name this site in their cohort")
        require(member.data_set in self._snapshots, "the terms name a data set that was never registered")

    def _decide(self, signed: SignedDecision) -> None:
        decision, person = signed.decision, verify_decision(signed, self._owner_key)
        request = self.study(decision.request)
        request.decision = None
        self._people.decides(signed, person, request.terms.researcher)
        self._check_decision(decision, request.terms)
        if request.approvals.takes(decision, signed.signer, self._people):
            request.decision = decision

    def _approve_by_rules(self, approval: RulesApproval) -> None:
        request = self.study(approval.request)
        request.decision = None
        self._check_decision(approval, request.terms)
        request.decision = approval

    def _check_decision(self, decision: Decision | RulesApproval, terms: Terms) -> None:
        require(decision.site == self._site, "the decision is for another site")
        member = terms.member(self._site)
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
        cost = request_cost(terms, self._accounts.population(population).order)
        require(
            Cost(decision.training_units, decision.evaluation_units) == cost,
            f"the approval is for {decision.training_units} training and {decision.evaluation_units} evaluation units, "
            f"and the terms cost {cost.training_units} and {cost.evaluation_units}",
        )

    def _approval(self, request: str) -> Decision | RulesApproval:
        """The approval under which something may happen now; it ends with the terms, or before."""
        decision = self.study(request).decision
        if decision is None or decision.verdict != "approve":
            raise RefusedError("no approval stands for this request")
        require(self._now < decision.expires_at, "the approval has expired")
        require(not self._studies[request].closed, "the request was closed before")
        return decision

    def _reserve(self, entry: ReservationOpened) -> None:
        self._accounts.reserve(entry)
        decision = self._approval(entry.request)
        require(
            (entry.population, entry.training_units, entry.evaluation_units)
            == (decision.population, decision.training_units, decision.evaluation_units),
            "the reservation is not for the population and the units that were approved",
        )

    def _charge(self, entry: ChargeMade) -> None:
        self._accounts.charge(entry)
        population = self._approval(entry.request).population
        require(entry.population == population, "the charge falls on another population than was approved")
        demanded = self.study(entry.request).demanded(step_round(entry.step)).get(entry.partition)
        require(demanded is not None, "the terms demand no charge on this partition for this step")
        charged = GaussianMechanism(**entry.mechanism.model_dump())
        require(charged == demanded, "the mechanism charged is not the one in the terms")

    def _compute(self, entry: log.RoundComputed) -> None:
        request = self.study(entry.request)
        require(entry.round not in request.answers, "a second answer is computed for one round")
        request.answers[entry.round] = entry
        require(entry.round_context not in self._contexts, "the masks of one round context are used twice")
        self._contexts.add(entry.round_context)
        self._approval(entry.request)
        demanded = request.demanded(entry.round)
        require(entry.round <= request.terms.sums, "the terms have no such round")
        missing = demanded.keys() - self._accounts.charged(entry.request, round_step(entry.round), entry.attempt)
        require(not missing, f"the round is computed without a charge for {' and '.join(sorted(missing))}")

    def _release(self, entry: log.UpdateReleased) -> None:
        request = self.study(entry.request)
        answer = request.answers.get(entry.round)
        require(
            answer is not None and answer.output_commitment == entry.output_commitment,
            "what is released is not the one answer computed for the round",
        )
        require(entry.recipient == request.terms.researcher, "the answer goes to another party than the one who asked")
        if request.terms.privacy is None and request.decision is not None:
            self.unbounded.setdefault(request.decision.population, set()).add(entry.request)


def require_superseded(request: Digest, older: Terms | JobTerms, newer: Terms | JobTerms) -> None:
    """Check that `newer` replaces `older`, whose digest is `request`.

    Raises:
        RefusedError: it names another request, or is another researcher's.
    """
    require(newer.supersedes == request, "the request is superseded by one that does not name it")
    require(newer.researcher == older.researcher, "the request is superseded by another researcher's")
