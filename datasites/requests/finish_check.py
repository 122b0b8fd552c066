"""A study's programs were tried without data and found fit to run: it is looked through, and waits for its owner."""

from sqlalchemy import Connection

from datasites.protocol.messages import StudyStatus
from datasites.requests.by_rules import approve_by_rules
from datasites.requests.look_through import log_review, study_findings
from datasites.requests.records import Request, Status, find_request, set_status
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.data_sets import require_data_set
from datasites.store.outbox import enqueue
from policies.errors import CloisterError


def admit(connection: Connection, site: Site, request: Request) -> None:
    """The programs are within bounds: the owner may decide, unless the request ended while they were checked.

    Where the house rules approve it by themselves, it is approved at once.
    """
    stored = find_request(connection, request.digest)
    if stored is None or stored.status is not Status.RECEIVED:
        return
    now = site.now
    set_status(connection, request.digest, Status.PENDING, "The owner has not decided yet.")
    manifest = require_data_set(connection, request.data_set).manifest
    log_review(connection, request.digest, study_findings(request, manifest), now)
    _approve_by_rules(connection, site, request)
    after = find_request(connection, request.digest) or stored
    told = StudyStatus(
        study=request.terms.study, status=after.status.value, detail=after.detail, decision=None, ground=after.ground
    )
    enqueue(connection, request.sender, told, now)


def _approve_by_rules(connection: Connection, site: Site, request: Request) -> None:
    """A fault in what is stored lets nothing be approved without a person, and the request waits for one."""
    try:
        with connection.begin_nested():
            approve_by_rules(connection, site, request)
    except CloisterError as error:
        report(f"Request {request.number} is not approved by the house rules: {error}")
