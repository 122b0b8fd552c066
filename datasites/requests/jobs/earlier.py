"""The job that a new one is compared with: the last of its researcher that was approved and has the likest name."""

import re
from collections.abc import Mapping

from sqlalchemy import Connection

from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.records import Job, senders_jobs_before
from datasites.site import Site
from policies.review.differences import Difference, Snapshot, difference

_COUNTING = re.compile(r"[0-9]+|[ _.-]+")


def job_difference(connection: Connection, site: Site, job: Job, code: Mapping[str, bytes] | None) -> Difference | None:
    """What `job`, whose files are `code` if they are kept, changes against the approved job before it; None without.

    Raises:
        NotAuthenticError: what is stored as that job is not what was received.
    """
    earlier = _last_approved(connection, job)
    if earlier is None:
        return None
    kept = code_of(site, earlier) if earlier.code_file is not None else None
    before, after = Snapshot(earlier.terms, {}, kept), Snapshot(job.terms, {}, code)
    return difference(earlier.number, before, after)


def _last_approved(connection: Connection, job: Job) -> Job | None:
    found = [
        it
        for it in senders_jobs_before(connection, job)
        if it.decision is not None and it.decision.decision.verdict == "approve"
    ]
    same = _stem(job.terms.name)
    return next((it for it in found if _stem(it.terms.name) == same), found[0] if found else None)


def _stem(name: str) -> str:
    """The name without what counts its versions: each job of a researcher must have a name of its own."""
    return _COUNTING.sub("", name.lower())
