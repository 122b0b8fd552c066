"""Answer: what a researcher says to a question on a request of its own, once, with its log entry."""

from sqlalchemy import Connection, update

from datasites.protocol.question_messages import RequestAnswer
from datasites.requests.jobs.records import find_job
from datasites.requests.questions import questions_on
from datasites.requests.records import find_request
from datasites.store.question_tables import questions
from policies.errors import ConflictError, RefusedError
from policies.log.journal import append
from policies.log.question_entries import QuestionAnswered


def take_answer(connection: Connection, sender: str, message: RequestAnswer, now: int) -> None:
    """Keep the sender's answer on its request; the same one again changes nothing.

    Raises:
        RefusedError: this was not asked of the sender.
        ConflictError: the question has another answer already.
    """
    request = find_request(connection, message.request) or find_job(connection, message.request)
    asked = [] if request is None or request.sender != sender else questions_on(connection, message.request)
    if message.number > len(asked):
        raise RefusedError("This site asked no such question of you.")
    known = asked[message.number - 1].answer
    if known == message.answer:
        return
    if known is not None:
        raise ConflictError("The question was answered before; the first answer stands.")
    this = (questions.c.request == message.request, questions.c.number == message.number)
    connection.execute(update(questions).where(*this).values(answer=message.answer, answered_at=now))
    entry = QuestionAnswered(at=now, request=message.request, number=message.number, answer=message.answer)
    append(connection, entry)
