"""Receive a study: check everything it brings against its terms, freeze it, and tell its researcher where it stands.

What arrives stays `received` until the trainer, still without data, has found its programs within bounds.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import StudyStatus, StudySubmission
from datasites.protocol.weight_messages import WeightsWanted
from datasites.requests.declared_units import units_obstacle
from datasites.requests.jobs.records import next_request_number
from datasites.requests.records import Status, find_request, find_study
from datasites.requests.supersede import supersede
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.data_sets import DataSet, find_data_set
from datasites.store.outbox import enqueue
from datasites.store.tables import requests
from datasites.store.weights import keep_parts
from policies.budget.costs import request_cost, request_epsilon
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.log.entries import RequestReceived
from policies.log.journal import append
from policies.programs.check import check_pair, check_record
from policies.programs.digests import source_digest
from policies.programs.format import parse_program
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms

_MOST_WAITING = 20
_CHECKING = "The site is checking the study's programs."


@dataclass(frozen=True)
class StudyFiles:
    """What a submission refers to: its parameter file, and the tokeniser of a study on texts."""

    parameters: SavedFile
    tokeniser: SavedFile | None


@dataclass(frozen=True)
class LackingWeights:
    """A submission whose parameter file lacks parts, with the digests of all those that are not kept for its sender."""

    parts: tuple[str, ...]


def receive_study(
    connection: Connection,
    site: Site,
    sender: IdentityCard,
    message: StudySubmission,
    files: StudyFiles | LackingWeights,
    now: int,
) -> None:
    """Take in a study and tell its researcher where it stands; one that is known already is only told about.

    `files` are those that the message refers to; the trainer reads them before the request is pending. Where weights
    are lacking, the researcher is told which, and nothing else happens.

    Raises:
        CloisterError: why the study cannot be taken in; the sentence speaks of nothing but what its sender sent.
    """
    terms = parse_model(Terms, message.terms.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="The study's terms")
    if find_request(connection, terms.digest()) is None:
        if isinstance(files, LackingWeights):
            enqueue(connection, sender.party, WeightsWanted(study=message.study, parts=files.parts), now)
            return
        _accept(connection, site, sender, message, terms, files, now)
    request = find_request(connection, terms.digest())
    if request is None or request.sender != sender.party:
        raise NotAuthenticError("This study was submitted by another researcher.")
    status = StudyStatus(
        study=terms.study,
        status=request.status.value,
        detail=request.detail,
        decision=request.decision,
        ground=request.ground,
    )
    enqueue(connection, sender.party, status, now)


def may_submit(connection: Connection, sender: IdentityCard) -> None:
    """Whether `sender` may submit a study now; asked before what it brings along is fetched.

    Raises:
        RefusedError: the sender is no researcher, or has too many requests that wait for a decision.
    """
    if sender.role != "researcher":
        raise RefusedError("Only researchers submit studies.")
    waiting = select(func.count()).where(
        requests.c.sender == sender.party, requests.c.status.in_([Status.RECEIVED, Status.PENDING])
    )
    if connection.execute(waiting).scalar_one() >= _MOST_WAITING:
        raise RefusedError(
            f"{_MOST_WAITING} of your requests wait for a decision here; close one, or wait until its owner decided."
        )


def _accept(
    connection: Connection,
    site: Site,
    sender: IdentityCard,
    message: StudySubmission,
    terms: Terms,
    files: StudyFiles,
    now: int,
) -> None:
    if terms.researcher != sender.party:
        raise NotAuthenticError("The terms name another researcher than the one who signed the message.")
    if terms.study != message.study:
        raise InvalidInputError("The message names another study than its terms.")
    if find_study(connection, sender.party, terms.study) is not None:
        raise ConflictError("A study of this name was submitted before with other terms; submit it as a new study.")
    if terms.expires_at <= now:
        raise RefusedError("The study has expired; submit it again with a later expiry.")
    member = terms.member(site.identity.party)
    if member is None:
        raise RefusedError("The terms do not name this site in their cohort.")
    data_set = find_data_set(connection, member.data_set)
    if data_set is None:
        raise InvalidInputError(f"This site has no data set «{member.data_set}»; ask for its catalog.")
    if (other_units := units_obstacle(terms, site.identity.party, data_set.manifest)) is not None:
        raise RefusedError(other_units)
    _check_privacy(terms, data_set)
    _check_programs(terms, message, files, data_set)
    connection.execute(
        insert(requests).values(
            digest=terms.digest(),
            number=next_request_number(connection),
            study=terms.study,
            sender=sender.party,
            data_set=data_set.name,
            status=Status.RECEIVED.value,
            detail=_CHECKING,
            terms=message.terms,
            loss_program=message.loss_program,
            metrics_program=message.metrics_program,
            source=message.source,
            parameters_file=files.parameters.name,
            tokeniser_file=None if files.tokeniser is None else files.tokeniser.name,
            received_at=now,
            expires_at=terms.expires_at,
        )
    )
    keep_parts(connection, sender.party, files.parameters.name, message.parameter_parts, now)
    append(connection, RequestReceived(at=now, request=terms.digest(), terms=terms))
    accepted = find_request(connection, terms.digest())
    if accepted is not None:
        supersede(connection, accepted, now)


def _check_privacy(terms: Terms, data_set: DataSet) -> None:
    request_cost(terms, data_set.filter_order)
    epsilon = request_epsilon(terms)
    if terms.privacy is None or epsilon is None:
        return  # whether a person may approve that is for the house rules to say
    if terms.privacy.delta > data_set.delta:
        raise RefusedError(
            f"The terms ask for δ={terms.privacy.delta:g}; «{data_set.name}» allows at most {data_set.delta:g}."
        )
    if epsilon > terms.privacy.epsilon:
        raise RefusedError(
            f"The terms promise ε={terms.privacy.epsilon:g}, and their noise, sampling rate and steps give "
            f"ε={epsilon:.4g}; raise the noise multiplier or take fewer steps."
        )


def _check_programs(terms: Terms, message: StudySubmission, files: StudyFiles, data_set: DataSet) -> None:
    tokens = terms.programs.tokens
    loss = parse_program(message.loss_program.encode())
    metrics = parse_program(message.metrics_program.encode())
    given = {
        "loss program": (terms.programs.loss, loss.digest()),
        "metrics program": (terms.programs.metrics, metrics.digest()),
        "initial parameters": (terms.programs.initial_parameters, files.parameters.digest),
        "tokeniser": (
            None if tokens is None else tokens.tokeniser,
            None if files.tokeniser is None else files.tokeniser.digest,
        ),
        "source": (terms.programs.source, source_digest(message.source)),
    }
    for what, (expected, got) in given.items():
        if expected != got:
            raise NotAuthenticError(f"The {what} that arrived is not the one whose digest the terms carry.")
    check_pair(loss, metrics)
    if loss.parameter_count != terms.programs.parameter_count or metrics.output_names != terms.evaluation.outputs:
        raise InvalidInputError(
            "The terms name another number of parameters, or other metrics or histograms, than the programs."
        )
    check_record(loss, data_set.manifest.record_form(None if tokens is None else tokens.form))
