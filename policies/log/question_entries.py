"""Log entries on what was asked of a researcher, and answered; what people write to each other is no private value."""

from typing import Literal

from policies.log.entry import Entry
from policies.question import QuestionNumber, SignedQuestion
from policies.statements.schema import Digest, Text


class QuestionAsked(Entry):
    """A person of the site asked the request's researcher something; the signed question itself."""

    kind: Literal["question-asked"] = "question-asked"
    signed: SignedQuestion


class QuestionAnswered(Entry):
    """The request's researcher answered question `number`; the text as it was received."""

    kind: Literal["question-answered"] = "question-answered"
    request: Digest
    number: QuestionNumber
    answer: Text


QuestionEntry = QuestionAsked | QuestionAnswered
