"""Answer what a site asked about a study or a job."""

from pydantic import ValidationError

from datasites.protocol.question_messages import RequestAnswer
from policies.errors import ConflictError, InvalidInputError
from policies.statements.schema import describe_validation_error
from researcher.correspondence import Correspondence
from researcher.question_state import Question, mark_answered, questions_on


def answer_question(
    correspondence: Correspondence, request: str, text: str, question: Question | None, seconds: float
) -> None:
    """Answer `question` on the request with this digest; without one, the only question that is open.

    Its site logs the answer as it stands, and keeps the first. Sending is tried for `seconds`.

    Raises:
        InvalidInputError: no such question is there, several are open and none is named, or no site takes this text.
        ConflictError: it was answered before.
        UnavailableError: the relay cannot be reached.
    """
    asked = questions_on(correspondence.state, request)
    if question is None:
        waiting = [it for it in asked if it.answer is None]
        if len(waiting) != 1:
            raise InvalidInputError(
                f"{len(waiting)} questions wait for an answer here; name the one that is meant, of those that "
                "«questions» lists."
            )
        question = waiting[0]
    known = {(it.site, it.number): it for it in asked}.get((question.site, question.number))
    if known is None or question.request != request:
        raise InvalidInputError("This was not asked here; choose one of those that «questions» lists.")
    if known.answer is not None:
        raise ConflictError(f"{known.site} was answered before; the first answer stands.")
    try:
        message = RequestAnswer(request=request, number=question.number, answer=text)
    except ValidationError as error:
        raise InvalidInputError(f"No site takes this answer: {describe_validation_error(error)}.") from error
    site = next(card.party for card in correspondence.state.sites().values() if card.name == question.site)
    correspondence.send([site], message, seconds)
    mark_answered(correspondence.state, question, text)
