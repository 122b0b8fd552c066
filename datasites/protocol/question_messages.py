"""Messages by which a site's people ask a request's researcher something, and are answered."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from datasites.protocol.typed_message import TypedMessage
from policies.question import QuestionNumber, SignedQuestion
from policies.statements.schema import Digest, Text

RequestName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""What its researcher calls a study or a job: 32 hexadecimal digits."""


class RequestQuestion(TypedMessage):
    """Site → researcher: a question on the study or job called `name`, signed by the person who asks."""

    type: Literal["request-question"] = "request-question"
    name: RequestName
    signed: SignedQuestion


class RequestAnswer(TypedMessage):
    """Researcher → site: the answer to question `number` on a request of its own."""

    type: Literal["request-answer"] = "request-answer"
    request: Digest
    number: QuestionNumber
    answer: Text
