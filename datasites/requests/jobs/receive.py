"""Receive a job: check everything it brings against its terms, freeze it, and tell its researcher where it stands.

What arrives stays `received` until it was tried on mock data; nothing of it runs before that, and nothing but that
before its owner decides.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import JobSubmission
from datasites.requests.contacts import accepted_contact
from datasites.requests.jobs.code import require_plain_source, split_code
from datasites.requests.jobs.records import Status, find_job, find_senders_job, next_request_number
from datasites.requests.jobs.supersede import supersede_job
from datasites.requests.jobs.tell import tell
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.file_sets import find_file_set
from datasites.store.tables import jobs
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.jobs.requirements import require_packages
from policies.jobs.terms import MAXIMUM_JOB_TERMS_BYTES, JobTerms
from policies.log.job_entries import JobReceived
from policies.log.journal import append
from policies.statements.schema import parse_model

_MOST_WAITING = 20
_MOST_A_DAY = 500
_TRYING = "The site tries the job on mock data."


def receive_job(
    connection: Connection,
    site: Site,
    sender: IdentityCard,
    message: JobSubmission,
    code: SavedFile,
    packages: Sequence[str],
    now: int,
) -> None:
    """Take in a job and tell its researcher where it stands; one that is known already is only told about.

    Args:
        code: the file with the bytes that the message refers to.
        packages: what the site offers to jobs, as `name==version`.

    Raises:
        CloisterError: why it cannot be taken in; the sentence speaks of nothing but what its sender sent.
    """
    terms = parse_job_terms(message)
    if find_job(connection, terms.digest()) is None:
        _accept(connection, site, sender, message, terms, code, packages, now)
    job = find_job(connection, terms.digest())
    if job is None or job.sender != sender.party:
        raise NotAuthenticError("This job was submitted by another researcher.")
    tell(connection, job, now)


def parse_job_terms(message: JobSubmission) -> JobTerms:
    """The terms that a submission brings.

    Raises:
        InvalidInputError: they are not valid; naming the field.
    """
    return parse_model(JobTerms, message.terms.encode(), maximum_bytes=MAXIMUM_JOB_TERMS_BYTES, what="The job's terms")


def may_submit_job(connection: Connection, sender: IdentityCard, now: int) -> None:
    """Whether `sender` may submit a job now; asked before what it brings along is fetched.

    Raises:
        RefusedError: the sender is no researcher, has too many jobs that wait for a decision, or submitted many today.
    """
    if sender.role != "researcher":
        raise RefusedError("Only researchers submit jobs.")
    waiting = select(func.count()).where(
        jobs.c.sender == sender.party, jobs.c.status.in_([Status.RECEIVED, Status.PENDING])
    )
    if connection.execute(waiting).scalar_one() >= _MOST_WAITING:
        raise RefusedError(
            f"{_MOST_WAITING} of your jobs wait for a decision here; cancel one, or wait until its owner decided."
        )
    recent = select(func.count()).where(jobs.c.sender == sender.party, jobs.c.received_at > now - 86_400)
    if connection.execute(recent).scalar_one() >= _MOST_A_DAY:
        raise RefusedError(f"You submitted {_MOST_A_DAY} jobs here within a day; submit more tomorrow.")


def _accept(
    connection: Connection,
    site: Site,
    sender: IdentityCard,
    message: JobSubmission,
    terms: JobTerms,
    code: SavedFile,
    packages: Sequence[str],
    now: int,
) -> None:
    if terms.researcher != sender.party:
        raise NotAuthenticError("The terms name another researcher than the one who signed the message.")
    if terms.site != site.identity.party:
        raise NotAuthenticError("The terms name another site than this one.")
    if terms.job != message.job:
        raise InvalidInputError("The message names another job than its terms.")
    named = select(jobs.c.digest).where(jobs.c.sender == sender.party, jobs.c.name == terms.name)
    if find_senders_job(connection, sender.party, terms.job) or connection.execute(named).first():
        raise ConflictError(f"You submitted a job «{terms.name}» here before; give this one another name.")
    if terms.expires_at <= now:
        raise RefusedError("The job has expired; submit it again with a later expiry.")
    contact = accepted_contact(connection, sender.party)
    for name in terms.data_sets:
        file_set = find_file_set(connection, name)
        if file_set is None or not file_set.visible_to(contact):
            raise InvalidInputError(f"This site shows you no data set «{name}»; look at what it offers.")
    listed = site.house_rules(connection).rules.shown.packages
    require_packages(terms.requirements, packages, listed=listed)
    require_plain_source(split_code(terms, b"".join(site.contents.read(code.name))))
    connection.execute(
        insert(jobs).values(
            digest=terms.digest(),
            number=next_request_number(connection),
            job=terms.job,
            sender=sender.party,
            name=terms.name,
            status=Status.RECEIVED.value,
            detail=_TRYING,
            terms=message.terms,
            code_file=code.name,
            attempt=0,
            received_at=now,
            expires_at=terms.expires_at,
        )
    )
    append(connection, JobReceived(at=now, request=terms.digest(), terms=terms))
    accepted = find_job(connection, terms.digest())
    if accepted is not None:
        supersede_job(connection, accepted, now)
