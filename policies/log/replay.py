"""Replays a log from its first entry and says where it breaks the rules of terms, approvals, charges and releases."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from policies.errors import CloisterError
from policies.jobs.terms import JobTerms
from policies.log import entries as log
from policies.log.accounts import Accounts, require
from policies.log.budget_entries import PopulationOpened, ReservationClosed, ReservationLost
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
from policies.log.rules_entries import RulesAdopted
from policies.log.rules_replay import RulesReplay
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered, SetBackNoticed
from policies.log.study_replay import StudyEntry, StudyReplay, require_superseded
from policies.log.superseded_entries import RequestSuperseded
from policies.log.witness_entries import WitnessEntry
from policies.log.witness_replay import Answered, WitnessReplay
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
        self._site = site
        self._owner_key = owner_key
        self._now = 0
        self._pinned: set[str] = set()
        self._reviewed: set[str] = set()
        self.rules = RulesReplay(site.site, owner_key)
        self.people = PeopleReplay(site, owner_key, self._pinned)
        self.halts = HaltReplay(site.site, owner_key, self.people.register)
        self.questions = QuestionReplay(site.site, owner_key, self.people.register, self._was_received)
        self.studies = StudyReplay(site.site, owner_key, self._pinned, self.accounts, self.people)
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
        return charged - self.studies.answers()

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
        if isinstance(entry, StudyEntry):
            self.studies.take(entry, self._now)
            return
        match entry:
            case log.SiteOpened():
                self._open_site(entry)
            case log.PeerPinned():
                self._pinned.add(entry.party)
                self.people.pin(entry.party)
            case PopulationOpened():
                self.accounts.open_population(entry)
            case ReservationClosed():
                self.accounts.give_back(entry)
            case log.RequestClosed():
                self._close(entry.request)
            case RequestSuperseded():
                self._supersede(entry)
            case LogRecovered():
                self.lost_heads.update(verify_recovery(entry.signed, self._owner_key, self._site.site).lost)
                self.jobs.drop_approvals()
                self.studies.drop_approvals()
            case ReservationLost():
                self.accounts.lose(entry)
            case BudgetWrittenOff():
                self.accounts.write_off(entry)
            case RequestReviewed():
                self._review(entry.request)
            case log.MessageGap() | log.MessageRefused() | SetBackNoticed() | RulesAdopted():
                pass

    def _open_site(self, entry: log.SiteOpened) -> None:
        facts = SiteFacts(**entry.model_dump(include=set(SiteFacts.model_fields)))
        same = facts == self._site and entry.site == facts.site
        require(same, "the log was opened for another site or other keys than the bundle names")

    def _close(self, request: str) -> None:
        if request in self.jobs:
            self.jobs.close(request)
        else:
            self.studies.study(request).closed = True

    def _supersede(self, entry: RequestSuperseded) -> None:
        require_superseded(entry.request, self._terms(entry.request), self._terms(entry.by))
        reservation = self.accounts.reservations.get(entry.request)
        runs = entry.request not in self.jobs and self.studies.study(entry.request).answers
        require(not runs and not (reservation and reservation.charged), "a study that runs is superseded")
        self._close(entry.request)

    def _terms(self, request: str) -> Terms | JobTerms:
        return self.jobs.terms(request) if request in self.jobs else self.studies.study(request).terms

    def _was_received(self, request: str) -> bool:
        return request in self.studies or request in self.jobs

    def _review(self, request: str) -> None:
        require(self._was_received(request), "the request was never received")
        require(request not in self._reviewed, "the request is reviewed a second time")
        self._reviewed.add(request)

    def _answered(self, request: str) -> Answered:
        found = self.studies.study(request)
        return Answered(found.terms, found.answers)
