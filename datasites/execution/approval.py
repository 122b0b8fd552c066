"""The gate before every step of an execution: a valid, unexpired approval of exactly this request and snapshot."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import require_not_stopped
from datasites.requests.by_rules import require_rules_approval
from datasites.requests.declared_units import units_obstacle
from datasites.requests.people_approval import require_people_approval
from datasites.requests.records import Request, Status, find_study, require_as_received
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.data_sets import DataSet, require_data_set
from policies.budget.costs import request_cost
from policies.errors import NotAuthenticError, RefusedError
from policies.programs.digests import PARAMETERS_DOMAIN
from policies.programs.tokeniser import TOKENISER_DOMAIN


class StoredFile(NamedTuple):
    """A file of the content folder: its size in bytes, and its pieces."""

    size: int
    pieces: Iterator[bytes]


def require_approval(connection: Connection, site: Site, sender: str, study: str, now: int) -> tuple[Request, DataSet]:
    """The request of `study` and its data set, if enough people, or the rules, approved both as they are now.

    Raises:
        RefusedError: unknown study, not approved, revoked, or expired; or the site is stopped.
        NotAuthenticError: another sender, or the stored decision does not cover what is stored beside it.
    """
    require_not_stopped(connection, site)
    now = max(now, site.moment(connection))
    request = find_study(connection, sender, study)
    if request is None:
        raise RefusedError("This site knows no such study of yours.")
    decided = request.decision or request.ground
    if request.status not in (Status.APPROVED, Status.RUNNING, Status.DONE) or decided is None:
        raise RefusedError(f"The study is not approved here, it is {request.status}: {request.detail}")
    require_not_revoked(connection, site, request.digest)
    data_set = require_data_set(connection, request.data_set)
    expires_at = _require_ground(connection, site, request, data_set)
    if (request.terms.researcher, request.terms.study) != (sender, study):
        raise NotAuthenticError("The stored request is another researcher's, or another study; nothing was run.")
    if request.terms.digest() != request.digest:
        raise NotAuthenticError("The stored terms are not the ones that were received; nothing was run.")
    if (other_units := units_obstacle(request.terms, site.identity.party, data_set.manifest)) is not None:
        raise RefusedError(other_units)
    if now >= min(expires_at, request.terms.expires_at):
        raise RefusedError("The approval has expired; submit the study again.")
    return request, data_set


def _require_ground(connection: Connection, site: Site, request: Request, data_set: DataSet) -> int:
    """Check what a person signed, or what the house rules approved; gives the moment at which that ends."""
    if request.decision is not None:
        return require_people_approval(connection, site, request, data_set).expires_at
    cost = request_cost(request.terms, data_set.filter_order)
    return require_rules_approval(connection, site, request, data_set, cost).expires_at


def required_files(site: Site, request: Request) -> tuple[StoredFile, StoredFile]:
    """Check that programs and source are still those of the terms; gives the parameter file and the tokeniser.

    The last piece of each comes only once the file was the one that was received. Without a tokeniser it is empty.

    Raises:
        NotAuthenticError: something stored was changed since it was received, now or when the pieces are taken.
    """
    require_as_received(request)
    programs = request.terms.programs
    parameters = _stored(site, request.parameters_file, programs.initial_parameters, PARAMETERS_DOMAIN)
    if programs.tokens is None:
        return parameters, StoredFile(0, iter(()))
    return parameters, _stored(site, request.tokeniser_file, programs.tokens.tokeniser, TOKENISER_DOMAIN)


def _stored(site: Site, name: str | None, digest: str, domain: str) -> StoredFile:
    file = SavedFile(name or "", digest)
    if not file.name or not site.contents.has(file.name):
        raise NotAuthenticError("A file of the study is not stored any more as it was received; nothing was run.")
    return StoredFile(site.contents.size(file.name), site.contents.checked(file, domain))
