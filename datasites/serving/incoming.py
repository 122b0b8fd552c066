"""One incoming letter: opened, its content fetched, its effect and its answer written in one transaction."""

import threading

from sqlalchemy import Connection

from datasites.execution.approval import require_approval
from datasites.execution.ask_round import ask_round
from datasites.execution.interrupted_rounds import refuse_waiting_rounds
from datasites.execution.release_round import release_witnessed
from datasites.execution.setup import accept_roster, start_run
from datasites.protocol.blobs import BlobReference, open_blob
from datasites.protocol.envelope import Opened, open_envelope
from datasites.protocol.identity import IdentityCard
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
    WitnessReply,
    WitnessRequest,
)
from datasites.requests.catalog import answer_catalog
from datasites.requests.receive import may_submit, receive_study
from datasites.requests.records import find_study
from datasites.requests.withdraw import withdraw
from datasites.serving.lifecycle import Pause, report
from datasites.site import Site
from datasites.store.outbox import enqueue, waiting
from datasites.store.peers import pinned_card, take_number
from datasites.witnesses.hear import SET_BACK, hear_witness, is_set_back
from datasites.witnesses.keep import keep_checkpoint
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)
from policies.log.entries import MessageRefused
from policies.log.journal import append
from policies.statements.schema import as_text

_MAXIMUM_CONTENT_BYTES = 256 << 20
_MOST_UNANSWERED = 500
_TRIES_FOR_CONTENT = 3
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Incoming:
    """Takes a datasite's letters. `stop` ends waiting for a relay."""

    def __init__(self, site: Site, mailbox: Mailbox, stop: threading.Event) -> None:
        self._site = site
        self._mailbox = mailbox
        self._stop = stop

    def take(self, envelope: bytes) -> None:
        """Act on one letter in one transaction: its number, its effect and the answer, or its refusal."""
        site = self._site
        try:
            opened = open_envelope(site.identity, envelope, self._pinned)
        except (InvalidInputError, NotAuthenticError) as error:
            report(f"A letter was dropped: {error}")
            return
        content, problem = self._content(opened)
        try:
            with site.engine.begin() as connection:
                _take_number(connection, opened, site.now)
                if waiting(connection, opened.sender.party) >= _MOST_UNANSWERED:
                    raise RefusedError("its sender does not fetch the answers to earlier ones.")
                try:
                    with connection.begin_nested():
                        if problem is not None:
                            raise problem
                        self._act(connection, opened, content)
                except CloisterError as error:
                    _refuse(connection, opened, as_text(str(error)), site.now)
                except _UNFORESEEN as error:
                    # A defect of ours must not let one letter stop all mail, and its text might quote what is private.
                    report(f"A letter from {opened.sender.name} met a defect ({type(error).__name__}).")
                    _refuse(connection, opened, "This site could not handle the message.", site.now)
        except (ConflictError, RefusedError) as error:
            report(f"A letter from {opened.sender.name} was dropped: {error}")

    def _act(self, connection: Connection, opened: Opened, content: bytes) -> None:
        site, sender, now = self._site, opened.sender, self._site.now
        match opened.message:
            case CatalogRequest():
                answer_catalog(connection, sender, now)
            case StudySubmission() as message:
                receive_study(connection, site, sender, message, content, now)
            case SetupStart() as message:
                start_run(connection, site, sender.party, message, now)
            case Roster() as message:
                accept_roster(connection, site, sender.party, message, now)
            case RoundStart() as message:
                ask_round(connection, site, sender.party, message, content, now)
            case StudyClose() as message:
                withdraw(connection, sender.party, message, now)
            case WitnessRequest() as message:
                keep_checkpoint(connection, sender, message, now)
            case WitnessReply() as message:
                if not hear_witness(connection, site, sender.party, message, now):
                    report(f"«{sender.name}» does not confirm this site's log; rounds of studies it witnesses wait.")
                release_witnessed(connection, site, now)
                if is_set_back(connection):
                    report(SET_BACK)
                    refuse_waiting_rounds(connection, SET_BACK, now)
            case message:
                raise RefusedError(f"A datasite takes no message of type {message.type}.")

    def _content(self, opened: Opened) -> tuple[bytes, CloisterError | None]:
        """What the message refers to, fetched only for a sender who may send such content now."""
        message = opened.message
        match message:
            case StudySubmission(initial_parameters=reference) | RoundStart(model=reference):
                pass
            case _:
                return b"", None
        pause = Pause()
        for _ in range(_TRIES_FOR_CONTENT):
            try:
                with self._site.engine.begin() as connection:
                    if isinstance(message, StudySubmission):
                        may_submit(connection, opened.sender)
                    else:
                        require_approval(connection, self._site, opened.sender.party, message.study, self._site.now)
                return self._fetch(reference), None
            except UnavailableError as error:
                problem: CloisterError = error
                self._stop.wait(pause.next())
            except CloisterError as error:
                return b"", error
        return b"", problem

    def _fetch(self, reference: BlobReference) -> bytes:
        if reference.size > _MAXIMUM_CONTENT_BYTES:
            raise InvalidInputError(f"Content of {reference.size} bytes is too large; send {_MAXIMUM_CONTENT_BYTES}.")
        ciphertext = self._mailbox.get_blob(reference.digest, reference.sealed_size)
        return open_blob(reference, ciphertext, _MAXIMUM_CONTENT_BYTES)

    def _pinned(self, party: str) -> IdentityCard | None:
        with self._site.engine.begin() as connection:
            return pinned_card(connection, party)


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
                    study=message.study, status=known.status.value, detail=known.detail, decision=known.decision
                )
            )
            enqueue(connection, sender, status, now)
        case RoundStart():
            refusal = RoundRefused(study=message.study, run=message.run, round=message.round, reason=reason)
            enqueue(connection, sender, refusal, now)
        case SetupStart() | Roster():
            refusal = RoundRefused(study=message.study, run=message.run, round=1, reason=reason)
            enqueue(connection, sender, refusal, now)
