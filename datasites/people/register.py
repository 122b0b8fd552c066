"""Who has a role at this site, as the database says under the owner's signature."""

from sqlalchemy import Connection, select

from datasites.site import Site
from datasites.store.tables import people
from policies.errors import NotAuthenticError
from policies.log.entries import LogEntry
from policies.log.journal import position_of
from policies.log.people_entries import PersonDismissed
from policies.people.appointment import MAXIMUM_SIGNED_APPOINTMENT_BYTES, SignedAppointment, SignedDismissal
from policies.people.register import Register
from policies.people.signer import PersonSigned
from policies.statements.schema import parse_model


def register_of(connection: Connection, site: Site) -> Register:
    """Everybody who was appointed here, and who of them was dismissed.

    Raises:
        NotAuthenticError: a row is not under the owner's signature: somebody changed the database.
    """
    card, maximum = site.identity.card, MAXIMUM_SIGNED_APPOINTMENT_BYTES
    register = Register(site.identity.party, site.owner_key, (card.signing_key, card.log_key or ""))
    for row in connection.execute(select(people).order_by(people.c.number)):
        made, ended = row.appointment.encode(), None if row.dismissal is None else row.dismissal.encode()
        register.restore(
            parse_model(SignedAppointment, made, maximum_bytes=maximum, what="An appointment"),
            None if ended is None else parse_model(SignedDismissal, ended, maximum_bytes=maximum, what="A dismissal"),
        )
    return register


def require_signed_in_role(connection: Connection, site: Site, signed: PersonSigned, entry: LogEntry) -> int:
    """Where `entry` put a stored statement into the log (from 0), if its signer had a role then.

    Raises:
        NotAuthenticError: they were never appointed here, or it is not in the log from before they were dismissed.
    """
    register = register_of(connection, site)
    register.require_appointed(signed)
    taken, dismissal = position_of(connection, entry), register.dismissal(signed.signer)
    if taken is None:
        raise NotAuthenticError("The stored decision is not in the log: somebody wrote it into the database.")
    if dismissal is None:
        return taken
    dismissed = PersonDismissed(at=dismissal.dismissal.dismissed_at, signed=dismissal)
    ended = position_of(connection, dismissed)
    if ended is None or taken >= ended:
        raise NotAuthenticError("The stored decision is by a person who had been dismissed; it counts for nothing.")
    return taken
