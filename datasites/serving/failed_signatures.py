"""Letters in a pinned party's name that it did not sign: logged, but once a day, as anybody can send them."""

from sqlalchemy import Connection, select, update

from datasites.store.put import put
from datasites.store.tables import failed_signatures
from policies.log.journal import append
from policies.log.witness_entries import SignatureFailed
from policies.statements.digests import digest

_DAY_SECONDS = 86_400


def note_failed_signature(connection: Connection, claimed: str, envelope: bytes, now: int) -> None:
    """Log that a letter in the name of `claimed` is not by that pinned party, or count it if one was logged today.

    A clock that was set back counts as today.
    """
    day, this_one = now // _DAY_SECONDS, failed_signatures.c.party == claimed
    row = connection.execute(select(failed_signatures).where(this_one)).one_or_none()
    if row is not None and day <= row.day:
        more = failed_signatures.c.unlogged + 1
        connection.execute(update(failed_signatures).where(this_one).values(unlogged=more))
        return
    put(connection, failed_signatures, {"party": claimed}, {"day": day, "unlogged": 0})
    unlogged = 0 if row is None else row.unlogged
    entry = SignatureFailed(at=now, claimed=claimed, letter=digest("failed-letter", envelope), unlogged=unlogged)
    append(connection, entry)
