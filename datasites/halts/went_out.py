"""What already went out of a request, and to whom, as the log says: no revocation brings it back."""

from dataclasses import dataclass

from sqlalchemy import Connection

from datasites.store.peers import require_card
from policies.log.entries import UpdateReleased, parse_entry
from policies.log.job_entries import OutputsReleased
from policies.log.journal import entry_bytes
from policies.statements.schema import PartyName


@dataclass(frozen=True)
class WentOut:
    """One answer, or the outputs of one execution, as handed to the mail at `at` (seconds since 1970)."""

    at: int
    what: str
    recipient: PartyName


def went_out(connection: Connection, request: str) -> tuple[WentOut, ...]:
    """Everything that was released of `request`, oldest first."""
    found = []
    for data in entry_bytes(connection):
        if request.encode() not in data or b'-released"' not in data:
            continue  # most of a long log: reading it all as entries would take seconds
        match parse_entry(data):
            case UpdateReleased() as entry if entry.request == request:
                found.append(
                    WentOut(
                        entry.at, f"the answer to round {entry.round}", require_card(connection, entry.recipient).name
                    )
                )
            case OutputsReleased() as entry if entry.request == request:
                found.append(
                    WentOut(
                        entry.at,
                        f"the outputs of execution {entry.attempt}",
                        require_card(connection, entry.recipient).name,
                    )
                )
    return tuple(found)
