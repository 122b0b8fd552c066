"""Whether a study's source and its programs agree, as far as exporting the source a second time could tell."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from datasites.requests.records import Status
from datasites.store.put import put
from datasites.store.tables import requests, second_exports

_PATIENCE_SECONDS = 60

Result = Literal["agrees", "differs", "failed"]


@dataclass(frozen=True)
class SecondExport:
    """What came of exporting a study's source again; `error` is the class of the error if it failed."""

    result: Result
    error: str

    @property
    def sentence(self) -> str:
        """What it means, for the reviewer."""
        if self.result == "agrees":
            return "The source, exported again at this site, gives exactly these programs."
        if self.result == "differs":
            return (
                "The source, exported again at this site, gives other programs: only the programs run, so judge those; "
                "another version of torch may be the reason, or a source that is not what was exported."
            )
        return f"The source could not be exported again at this site ({self.error}): judge the programs, which run."


def find_second_export(connection: Connection, request: str) -> SecondExport | None:
    """What is known of a request; None while it was not tried yet."""
    row = connection.execute(select(second_exports).where(second_exports.c.request == request)).one_or_none()
    return None if row is None else SecondExport(row.result, row.error)


def keep_second_export(connection: Connection, request: str, found: SecondExport) -> None:
    """Write down what came of it."""
    put(connection, second_exports, {"request": request}, {"result": found.result, "error": found.error})


def next_to_export(connection: Connection) -> tuple[str, int] | None:
    """The oldest study that waits for its owner and was not exported again yet: its digest, and when it may be.

    That is a minute after it came (seconds since 1970): what is decided on at once needs no reviewer's aid.
    """
    waiting = (
        select(requests.c.digest, requests.c.received_at)
        .outerjoin(second_exports, second_exports.c.request == requests.c.digest)
        .where(requests.c.status == Status.PENDING.value, second_exports.c.request.is_(None))
        .order_by(requests.c.number)
        .limit(1)
    )
    row = connection.execute(waiting).one_or_none()
    return None if row is None else (row.digest, row.received_at + _PATIENCE_SECONDS)
