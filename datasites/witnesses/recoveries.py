"""The recoveries that this site's owner signed: the newest names every checkpoint that was ever declared lost."""

from sqlalchemy import Connection, select

from datasites.store.tables import recoveries
from policies.log.recovery import LostHead, SignedRecovery
from policies.statements.schema import parse_model

_MAXIMUM_STATEMENT_BYTES = 64 * 1024


def newest_recovery(connection: Connection) -> SignedRecovery | None:
    """The recovery that witnesses are shown, or None if this site was never recovered."""
    newest = select(recoveries.c.statement).order_by(recoveries.c.id.desc()).limit(1)
    text = connection.execute(newest).scalar_one_or_none()
    if text is None:
        return None
    return parse_model(SignedRecovery, text.encode(), maximum_bytes=_MAXIMUM_STATEMENT_BYTES, what="A stored recovery")


def lost_heads(connection: Connection) -> tuple[LostHead, ...]:
    """The checkpoints that the owner declared lost, those of the newest recovery first."""
    newest = newest_recovery(connection)
    return () if newest is None else newest.recovery.lost
