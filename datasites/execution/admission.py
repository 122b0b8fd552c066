"""Trying a request's programs before anybody approved it: for how long, how often, and what comes of a failure."""

from sqlalchemy import Connection, select, update

from datasites.execution.trainer_result import TrainerFailedError
from datasites.halts.stopped import is_stopped
from datasites.requests.close import close_request
from datasites.requests.records import Status, find_request
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.tables import requests
from policies.errors import CloisterError, InvalidInputError
from policies.rules.house_rules import HouseRules
from policies.terms import Terms

MOST_SECONDS = 120
"""What anybody's request may take of the site's one worker: the others' charged rounds wait for it."""

_MOST_CHECKS = 2
_INTERRUPTED = (
    f"The site's check of the study's programs was interrupted {_MOST_CHECKS} times; submit the study again, and a "
    "smaller one if that happens again."
)


def check_seconds(terms: Terms, rules: HouseRules) -> int:
    """How long a request's check may take: what its terms say, within the owner's rule and the bound for anybody."""
    return min(terms.deadlines.setup_seconds, 60 * rules.maximum_round_minutes, MOST_SECONDS)


def begin_check(connection: Connection, digest: str, now: int) -> bool:
    """Count a check that begins; False if there is none, for the request ended, or was interrupted too often.

    It is counted before it begins, so that one which takes the service down with it is not tried for ever.
    """
    request = find_request(connection, digest)
    if request is None or request.status is not Status.RECEIVED:
        return False
    this = requests.c.digest == digest
    if connection.execute(select(requests.c.checks).where(this)).scalar_one() >= _MOST_CHECKS:
        close_request(connection, digest, Status.REFUSED, _INTERRUPTED, now)
        return False
    connection.execute(update(requests).where(this).values(checks=requests.c.checks + 1))
    return True


def require_to_be_checked(site: Site, digest: str) -> None:
    """Raise TrainerFailedError if the request ended, or the site was stopped, before there was a trainer to kill."""
    with reading(site.engine) as connection:
        request, stopped = find_request(connection, digest), is_stopped(connection, site)
    if request is None or request.status is not Status.RECEIVED or stopped:
        raise TrainerFailedError("The check was halted before it began.", was_killed=True)


def took_too_long(seconds: int) -> InvalidInputError:
    """What a researcher is told whose programs were not ready after `check_seconds`."""
    return InvalidInputError(
        f"The site tried the study's programs without data and they were not ready after {seconds} s, the most that it "
        "allows before an approval; use a smaller model, or fewer operations."
    )


def fail_check(connection: Connection, site: Site, digest: str, error: CloisterError) -> None:
    """Refuse the request, whose programs were found unfit; one whose check was interrupted is checked again.

    A stop of the site is no fault of the request, and is not counted.
    """
    if not (isinstance(error, TrainerFailedError) and error.was_killed):
        close_request(connection, digest, Status.REFUSED, str(error), site.now)
    elif is_stopped(connection, site):
        connection.execute(update(requests).where(requests.c.digest == digest).values(checks=0))
