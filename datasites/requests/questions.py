"""Questions on requests as they stand in the database, each with its answer once there is one."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from datasites.store.question_tables import questions
from policies.question import Question, SignedQuestion
from policies.statements.schema import parse_model

_MAXIMUM_SIGNED_QUESTION_BYTES = 64 * 1024


@dataclass(frozen=True)
class Asked:
    """One question, and its researcher's answer if there is one."""

    signed: SignedQuestion
    answer: str | None
    answered_at: int | None

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.signed.question

    @property
    def by(self) -> str:
        """The name of the person who asked."""
        return "the owner" if self.signed.appointment is None else self.signed.appointment.appointment.name


def questions_on(connection: Connection, request: str) -> list[Asked]:
    """All that was asked on the study or job with this digest, in its order."""
    rows = connection.execute(select(questions).where(questions.c.request == request).order_by(questions.c.number))
    maximum = _MAXIMUM_SIGNED_QUESTION_BYTES
    return [
        Asked(
            parse_model(SignedQuestion, row.signed.encode(), maximum_bytes=maximum, what="A stored question"),
            row.answer,
            row.answered_at,
        )
        for row in rows
    ]
