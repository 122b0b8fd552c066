"""A researcher gives up a study: no round of it is computed any more, and what it had reserved is returned."""

from sqlalchemy import Connection

from datasites.protocol.messages import StudyClose
from datasites.requests.close import close_request
from datasites.requests.records import Status, find_study
from policies.errors import RefusedError


def withdraw(connection: Connection, sender: str, message: StudyClose, now: int) -> None:
    """End the sender's own study; one that has ended already stays as it is.

    Raises:
        RefusedError: the sender has no such study here.
    """
    request = find_study(connection, sender, message.study)
    if request is None:
        raise RefusedError("This site knows no such study of yours.")
    close_request(connection, request.digest, Status.CLOSED, f"Its researcher closed the study: {message.reason}", now)
