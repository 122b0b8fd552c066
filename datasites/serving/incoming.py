"""One incoming letter: opened, its content fetched, its effect and its answer written in one transaction."""

from contextlib import ExitStack

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from datasites.execution.ask_round import ask_round
from datasites.execution.setup import accept_roster, start_run
from datasites.protocol.envelope import Opened, open_envelope, read_header
from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import FileSetRequest, JobCancel, JobSubmission, PeerRequest
from datasites.protocol.log_messages import ProofRequest, SumOpenedMessage, WitnessReply, WitnessRequest
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import (
    CatalogRequest,
    Roster,
    RoundRefused,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
    StudySubmission,
)
from datasites.protocol.question_messages import RequestAnswer
from datasites.requests.answer import take_answer
from datasites.requests.catalog import answer_catalog
from datasites.requests.contacts import ask_for_contact
from datasites.requests.file_sets import answer_file_sets
from datasites.requests.jobs.close import cancel_own_job
from datasites.requests.jobs.receive import receive_job
from datasites.requests.jobs.tell import tell_refusal
from datasites.requests.receive import LackingWeights, StudyFiles, receive_study
from datasites.requests.records import find_study
from datasites.requests.withdraw import withdraw
from datasites.sandbox.environment import offered_packages
from datasites.serving.effect import Effect
from datasites.serving.failed_signatures import note_failed_signature
from datasites.serving.fetching import Fetched, Fetching
from datasites.serving.lifecycle import report
from datasites.serving.log_letters import act_on_log_letter
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.engine import reading
from datasites.store.outbox import enqueue, waiting
from datasites.store.peers import pinned_card, take_number
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
)
from policies.log.entries import MessageRefused
from policies.log.journal import append
from policies.statements.schema import as_text

_MOST_UNANSWERED = 500
_UNFORESEEN = (
    ArithmeticError,
    AttributeError,
    DataError,
    IntegrityError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Incoming:
    """Takes a datasite's letters, from any thread, one sender's at a time."""

    def __init__(self, site: Site, mailbox: Mailbox) -> None:
        self._site = site
        self._fetching = Fetching(site, mailbox)
        self._cards: dict[str, IdentityCard] = {}

    def take(self, envelope: bytes) -> Effect:
        """Act on one letter in one transaction: its number, its effect and the answer, or its refusal."""
        site = self._site
        try:
            opened = open_envelope(site.identity, envelope, self._pinned)
        except (InvalidInputError, NotAuthenticError) as error:
            report(f"A letter was dropped: {error}")
            if isinstance(error, NotAuthenticError):
                self._note_failure(envelope)
            return Effect()
        with ExitStack() as files:
            content: Fetched | CloisterError
            try:
                content = files.enter_context(self._fetching.content_of(opened))
            except CloisterError as error:
                content = error
            except _UNFORESEEN as error:
                content = self._defect(opened, error)
            try:
                return self._act_once(opened, content, files)
            except (ConflictError, RefusedError) as error:
                report(f"A letter from {opened.sender.name} was dropped: {error}")
                return Effect()

    def _act_once(self, opened: Opened, content: Fetched | CloisterError, files: ExitStack) -> Effect:
        site = self._site
        with site.engine.begin() as connection:
            _take_number(connection, opened, site.now)
            if waiting(connection, opened.sender.party) >= _MOST_UNANSWERED:
                raise RefusedError("its sender does not fetch the answers to earlier ones.")
            try:
                with connection.begin_nested():
                    if isinstance(content, CloisterError):
                        raise content
                    return self._act(connection, opened, content, files)
            except CloisterError as error:
                _refuse(connection, opened, as_text(str(error)), site.now)
            except _UNFORESEEN as error:
                _refuse(connection, opened, str(self._defect(opened, error)), site.now)
        return Effect(small_mail=True)

    @staticmethod
    def _defect(opened: Opened, error: Exception) -> RefusedError:
        """A defect of ours must not let one letter stop all mail, and its text might quote what is private."""
        report(f"A letter from {opened.sender.name} met a defect ({type(error).__name__}).")
        return RefusedError("This site could not handle the message.")

    def _note_failure(self, envelope: bytes) -> None:
        header, site = read_header(envelope), self._site
        if header.recipient == site.identity.party and self._pinned(header.sender) is not None:
            with site.engine.begin() as connection:
                note_failed_signature(connection, header.sender, envelope, site.now)

    def lane_of(self, envelope: bytes) -> str:
        """Whose letters this one waits behind: the pinned sender's that it names, or all those from nobody pinned."""
        try:
            sender = read_header(envelope).sender
        except InvalidInputError:
            return ""
        return sender if self._pinned(sender) is not None else ""

    def _act(self, connection: Connection, opened: Opened, content: Fetched, files: ExitStack) -> Effect:
        site, sender, now = self._site, opened.sender, self._site.now
        match opened.message:
            case CatalogRequest():
                answer_catalog(connection, site, sender, files, now)
                return Effect(small_mail=True, large_mail=True)
            case StudySubmission() as message if isinstance(content, StudyFiles | LackingWeights):
                receive_study(connection, site, sender, message, content, now)
            case SetupStart() as message:
                start_run(connection, site, sender.party, message, now)
            case Roster() as message:
                accept_roster(connection, site, sender.party, message, now)
            case RoundStart() as message if isinstance(content, SavedFile):
                ask_round(connection, site, sender.party, message, content, now)
                return Effect(small_mail=True, large_mail=True)  # it is worked on once witnesses have answered
            case StudyClose() as message:
                withdraw(connection, sender.party, message, now)
            case RequestAnswer() as message:
                take_answer(connection, sender.party, message, now)
                return Effect()
            case PeerRequest() as message:
                ask_for_contact(connection, site, sender, message, offered_packages(), now)
                return Effect(small_mail=True)
            case FileSetRequest():
                answer_file_sets(connection, site, sender, files, now)
                return Effect(small_mail=True, large_mail=True)
            case JobSubmission() as message if isinstance(content, SavedFile):
                receive_job(connection, site, sender, message, content, offered_packages(), now)
                return Effect(small_mail=True, jobs=True)
            case JobCancel() as message:
                cancel_own_job(connection, sender.party, message, now)
                return Effect(small_mail=True, jobs=True)
            case WitnessRequest() | WitnessReply() | SumOpenedMessage() | ProofRequest() as message:
                return act_on_log_letter(connection, site, sender, message, now)
            case message:
                raise RefusedError(f"A datasite takes no message of type {message.type}.")
        return Effect(small_mail=True, work=True)

    def _pinned(self, party: str) -> IdentityCard | None:
        # A pin is for good, so who is known stays known.
        card = self._cards.get(party)
        if card is None:
            with reading(self._site.engine) as connection:
                card = pinned_card(connection, party)
            if card is not None:
                self._cards[party] = card
        return card


def _take_number(connection: Connection, opened: Opened, now: int) -> None:
    try:
        take_number(connection, opened.sender.party, opened.number, now)
    except ConflictError:
        # A site that was set back counts from an earlier number, and only its witnesses' answers can tell it so; it may
        # be a witness itself. Neither message does anything when it is replayed.
        if not isinstance(opened.message, WitnessRequest | WitnessReply):
            raise


def _refuse(connection: Connection, opened: Opened, reason: str, now: int) -> None:
    sender, message = opened.sender.party, opened.message
    append(connection, MessageRefused(at=now, sender=sender, message=opened.digest, reason=reason))
    match message:
        case StudySubmission():
            known = find_study(connection, sender, message.study)
            status = (
                StudyStatus(study=message.study, status="refused", detail=reason, decision=None)
                if known is None
                else StudyStatus(
                    study=message.study,
                    status=known.status.value,
                    detail=known.detail,
                    decision=known.decision,
                    ground=known.ground,
                )
            )
            enqueue(connection, sender, status, now)
        case RoundStart():
            refusal = RoundRefused(study=message.study, run=message.run, round=message.round, reason=reason)
            enqueue(connection, sender, refusal, now)
        case JobSubmission():
            tell_refusal(connection, sender, message.job, reason, now)
        case SetupStart() | Roster():
            refusal = RoundRefused(study=message.study, run=message.run, round=1, reason=reason)
            enqueue(connection, sender, refusal, now)
