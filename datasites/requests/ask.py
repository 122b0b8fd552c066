"""Ask: a person's signed question on a request that is open, its log entry, and the letter, in one transaction."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert

from datasites.people.decider import holder_of
from datasites.protocol.question_messages import RequestQuestion
from datasites.requests import records
from datasites.requests.jobs import records as job_records
from datasites.requests.questions import Asked, questions_on
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.question_tables import questions
from policies.errors import ConflictError, RefusedError
from policies.log.journal import append
from policies.log.question_entries import QuestionAsked
from policies.question import MOST_QUESTIONS, Question, sign_question


def ask(connection: Connection, site: Site, number: int, text: str, key: Ed25519PrivateKey) -> Asked:
    """Ask the researcher of open request `number`, a study or a job, as the person who holds `key`.

    Raises:
        ValidationError: the text is empty, longer than 2000 characters, or not all of it can be seen.
        InvalidInputError: there is no such request.
        ConflictError: it has ended.
        RefusedError: as many questions as may be were asked on it, or this person may not ask.
        NotAuthenticError: the key is nobody's of this site.
    """
    holder = holder_of(connection, site, key)
    digest, sender, name = _open_request(connection, number)
    asked = len(questions_on(connection, digest))
    if asked >= MOST_QUESTIONS:
        raise RefusedError(
            f"{MOST_QUESTIONS} questions were asked on request {number}; deny it with a reason, and let its researcher "
            "ask anew."
        )
    now = site.moment(connection)
    question = Question(
        version="cloister-question/1",
        site=site.identity.party,
        request=digest,
        number=asked + 1,
        text=text,
        asked_at=now,
    )
    signed = sign_question(holder.key, holder.appointment, question)
    row = {"request": digest, "number": question.number, "signed": signed.canonical().decode()}
    connection.execute(insert(questions).values(row))
    append(connection, QuestionAsked(at=now, signed=signed))
    enqueue(connection, sender, RequestQuestion(name=name, signed=signed), now)
    return Asked(signed, None, None)


def _open_request(connection: Connection, number: int) -> tuple[str, str, str]:
    """Digest, sender and the sender's own name of a request that has not ended."""
    job = job_records.find_job_by_number(connection, number)
    if job is not None:
        if job.status not in job_records.OPEN:
            raise ConflictError(f"Request {number} is {job.status}; there is nothing to ask any more.")
        return job.digest, job.sender, job.terms.job
    request = records.request_by_number(connection, number)
    if request.status not in records.OPEN:
        raise ConflictError(f"Request {number} is {request.status}; there is nothing to ask any more.")
    return request.digest, request.sender, request.terms.study
