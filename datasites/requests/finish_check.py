"""A study's programs were tried without data and found fit to run: it is looked through, and waits for its owner."""

from sqlalchemy import Connection

from datasites.protocol.messages import StudyStatus
from datasites.requests.look_through import log_review, study_findings
from datasites.requests.records import Request, Status, find_request, set_status
from datasites.store.data_sets import require_data_set
from datasites.store.outbox import enqueue


def admit(connection: Connection, request: Request, now: int) -> None:
    """The programs are within bounds: the owner may decide, unless the request ended while they were checked."""
    stored = find_request(connection, request.digest)
    if stored is None or stored.status is not Status.RECEIVED:
        return
    detail = "The owner has not decided yet."
    set_status(connection, request.digest, Status.PENDING, detail)
    manifest = require_data_set(connection, request.data_set).manifest
    log_review(connection, request.digest, study_findings(request, manifest), now)
    status = StudyStatus(study=request.terms.study, status=Status.PENDING.value, detail=detail, decision=None)
    enqueue(connection, request.sender, status, now)
