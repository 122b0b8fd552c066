"""Replays what a log says of questions: each was asked by the site's people, and answered once at most."""

from collections.abc import Callable

from policies.log.accounts import require
from policies.log.question_entries import QuestionAnswered, QuestionAsked, QuestionEntry
from policies.people.register import Register
from policies.question import require_asked


class QuestionReplay:
    """How many questions each request has, and which were answered. What breaks a rule raises, and is counted."""

    def __init__(self, site: str, owner_key: bytes, people: Register, received: Callable[[str], bool]) -> None:
        """Replay the questions of `site`; `people` is the log's register, `received` tells whether a request was."""
        self._site = site
        self._owner_key = owner_key
        self._people = people
        self._received = received
        self._asked: dict[str, int] = {}
        self._answered: set[tuple[str, int]] = set()

    def take(self, entry: QuestionEntry) -> None:
        """Replay an entry.

        Raises:
            NotAuthenticError: nobody of this site signed the question.
            RefusedError: the rule that the entry breaks.
        """
        match entry:
            case QuestionAsked():
                question = entry.signed.question
                before = self._asked.get(question.request, 0)
                self._asked[question.request] = max(before, question.number)
                require(self._received(question.request), "the request was never received")
                require(question.number == before + 1, "the questions on a request are not numbered in their order")
                require_asked(entry.signed, self._owner_key, self._site)
                self._people.require_in_role(entry.signed)
            case QuestionAnswered():
                answered = entry.request, entry.number
                require(entry.number <= self._asked.get(entry.request, 0), "the question was never asked")
                require(answered not in self._answered, "the question was answered before")
                self._answered.add(answered)
