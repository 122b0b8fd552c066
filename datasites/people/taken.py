"""Whether a stored word was truly said: by people in role, as many as the rules of its moment ask for, in the log."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from datasites.people.register import require_signed_in_role
from datasites.site import Site
from datasites.store.adopted_rules import adopted_before
from policies.errors import NotAuthenticError, RefusedError
from policies.log.entries import LogEntry
from policies.people.rules import ApprovalRules, require_people
from policies.people.signer import PersonSigned
from policies.statements.schema import Digest

Stated = Sequence[tuple[PersonSigned, LogEntry]]
"""Signed statements, each with the entry under which it stands in the log."""


def require_taken(
    connection: Connection,
    site: Site,
    stated: Stated,
    approvals: int,
    asked: Callable[[ApprovalRules], int],
    house_rules: Digest | None = None,
) -> None:
    """Check that each statement is in the log, from when its signer had a role and these rules held.

    Args:
        approvals: how many persons the statements say they take.
        asked: how many the rules ask for.
        house_rules: the rules that the statements name, if they name any.

    Raises:
        NotAuthenticError: it is not so: somebody wrote it into the database.
    """
    for signed, entry in stated:
        position = require_signed_in_role(connection, site, signed, entry)
        held = adopted_before(connection, site.identity.card, position)
        if house_rules not in (None, held.digest):
            raise NotAuthenticError("The stored decision names house rules that did not hold when it was taken.")
        try:
            require_people(held.rules.approvals, signed, approvals, asked(held.rules.approvals))
        except RefusedError as error:
            raise NotAuthenticError("The stored decision was not taken by whom the house rules asked for.") from error
