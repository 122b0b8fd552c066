"""What sites asked about studies and jobs, and what was answered, as it survives a kernel restart."""

import sqlite3
from dataclasses import dataclass

from datasites.protocol.identity import IdentityCard
from datasites.protocol.question_messages import RequestQuestion
from policies.errors import NotAuthenticError, RefusedError
from policies.jobs.terms import JobTerms
from policies.question import require_asked
from policies.terms import Terms
from researcher.state import State


@dataclass(frozen=True)
class Question:
    """One question of a site on a request of this researcher's; `answer` is None until one was sent."""

    site: str
    request: str
    number: int
    by: str
    text: str
    answer: str | None


def keep_question(connection: sqlite3.Connection, site: IdentityCard, message: RequestQuestion) -> None:
    """Keep a question, if a person of the site asks it about what was submitted to it; the first of its number counts.

    Raises:
        NotAuthenticError, RefusedError: nobody of this site signed it, or it is about something else.
    """
    if site.owner_key is None:
        raise NotAuthenticError("The site's card names no owner key.")
    person = require_asked(message.signed, bytes.fromhex(site.owner_key), site.party)
    question = message.signed.question
    if question.request != _submitted(connection, site.party, message.name):
        raise RefusedError(f"{site.name} asks about something that was not submitted to it.")
    connection.execute(
        "INSERT OR IGNORE INTO questions (site, request, number, asker, question) VALUES (?, ?, ?, ?, ?)",
        (site.party, question.request, question.number, person.name, question.text),
    )


def questions_on(state: State, request: str) -> list[Question]:
    """All that was asked about the study or job with this digest, by site."""
    with state.transaction() as connection:
        rows = connection.execute(
            "SELECT q.*, name FROM questions q JOIN sites ON party = site WHERE request = ? ORDER BY name, number",
            (request,),
        ).fetchall()
    return [
        Question(row["name"], row["request"], row["number"], row["asker"], row["question"], row["answer"])
        for row in rows
    ]


def mark_answered(state: State, question: Question, answer: str) -> None:
    """Write down that the relay has taken the answer to a question."""
    with state.transaction() as connection:
        connection.execute(
            "UPDATE questions SET answer = ? WHERE request = ? AND number = ? "
            "AND site = (SELECT party FROM sites WHERE name = ?)",
            (answer, question.request, question.number, question.site),
        )


def _submitted(connection: sqlite3.Connection, site: str, name: str) -> str | None:
    """The digest of the study or job that this researcher calls `name`, if it was submitted to this site."""
    study = connection.execute("SELECT terms FROM studies WHERE study = ?", (name,)).fetchone()
    if study is not None:
        terms = Terms.model_validate_json(study["terms"])
        return None if terms.member(site) is None else terms.digest()
    job = connection.execute("SELECT terms FROM jobs WHERE job = ? AND site = ?", (name, site)).fetchone()
    return None if job is None else JobTerms.model_validate_json(job["terms"]).digest()
