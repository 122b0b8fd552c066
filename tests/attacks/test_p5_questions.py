"""P5, of what is asked: answers to what nobody asked, to others' questions, twice, in floods; and forged in the log."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.messages import Message, parse_message
from datasites.protocol.question_messages import RequestAnswer
from datasites.requests.ask import ask
from datasites.requests.questions import questions_on
from datasites.serving.incoming import Incoming
from policies.errors import InvalidInputError
from policies.log.entries import LogEntry, MessageRefused
from policies.log.journal import entries
from policies.log.question_entries import QuestionAnswered, QuestionAsked
from policies.question import Question, SignedQuestion, sign_question
from policies.statements.canonical import canonical_bytes
from tests.attacks.honest_log import FACTS, OWNER, RECEIVED, REQUEST, STRANGER, after, verify
from tests.one_site import Scene, new_scene


class Letters:
    """Letters to the site, each under the next number of its sender."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._incoming = Incoming(scene.site, None)  # type: ignore[arg-type]  # none of these refers to a blob
        self._numbers: dict[str, int] = {}

    def post(self, message: Message, sender: Identity | None = None) -> bytes:
        who = sender or self.scene.researcher
        self._numbers[who.party] = self._numbers.get(who.party, 0) + 1
        letter = seal(who, self.scene.site.identity.card, self._numbers[who.party], message)
        self.take(letter)
        return letter

    def take(self, letter: bytes) -> None:
        self._incoming.take(letter)

    def answers(self, request: str) -> list[str | None]:
        with self.scene.site.engine.begin() as connection:
            return [it.answer for it in questions_on(connection, request)]

    def logged(self, kind: type[LogEntry]) -> int:
        with self.scene.site.engine.begin() as connection:
            return sum(isinstance(it, kind) for _, it in entries(connection))


@pytest.fixture
def letters(tmp_path: Path) -> Letters:
    return Letters(new_scene(tmp_path))


def asked(letters: Letters) -> str:
    """The digest of a request with one question on it."""
    request = letters.scene.submit()
    with letters.scene.site.engine.begin() as connection:
        ask(connection, letters.scene.site, 1, "Why?", letters.scene.owner_key)
    return request.digest


def test_what_was_not_asked_is_not_answered(letters: Letters) -> None:
    request = asked(letters)
    letters.post(RequestAnswer(request=request, number=2, answer="By the way …"))
    letters.post(RequestAnswer(request="b" * 64, number=1, answer="By the way …"))
    assert letters.answers(request) == [None]
    assert (letters.logged(MessageRefused), letters.logged(QuestionAnswered)) == (2, 0)


def test_nobody_answers_what_another_was_asked(letters: Letters) -> None:
    request = asked(letters)
    letters.post(RequestAnswer(request=request, number=1, answer="Mine."), letters.scene.other_researcher)
    letters.post(RequestAnswer(request=request, number=1, answer="Mine."), letters.scene.partners[0])
    assert letters.answers(request) == [None]
    assert letters.logged(MessageRefused) == 2


def test_the_first_answer_stands_whatever_comes_after_it(letters: Letters) -> None:
    request = asked(letters)
    letter = letters.post(RequestAnswer(request=request, number=1, answer="Routine."))
    for number in range(30):
        letters.take(letter)
        letters.post(RequestAnswer(request=request, number=1, answer=f"No: {number}"))
    assert letters.answers(request) == ["Routine."]
    assert (letters.logged(QuestionAnswered), letters.scene.count("questions")) == (1, 1)
    assert letters.scene.audit().broken == []


@pytest.mark.parametrize("text", ["", "x" * 2001, "Sure\u202e.", "Yes\u200b.", "a\x1b[2J"])
def test_an_answer_shows_all_that_it_says(text: str) -> None:
    fields = {"version": 1, "type": "request-answer", "request": "b" * 64, "number": 1, "answer": text}
    with pytest.raises(InvalidInputError):
        parse_message(canonical_bytes(fields))


def question(number: int = 1, **changes: object) -> Question:
    fields = {
        "version": "cloister-question/1",
        "site": FACTS.site,
        "request": REQUEST,
        "number": number,
        "text": "Why?",
        "asked_at": 91,
    }
    return Question.model_validate({**fields, **changes})


def put(number: int = 1, key: Ed25519PrivateKey = OWNER, **changes: object) -> QuestionAsked:
    return QuestionAsked(at=92, signed=sign_question(key, None, question(number, **changes)))


def told(number: int = 1, request: str = REQUEST) -> QuestionAnswered:
    return QuestionAnswered(at=93, request=request, number=number, answer="Routine.")


def reworded() -> QuestionAsked:
    signed: SignedQuestion = put().signed
    other = signed.question.model_copy(update={"text": "Why not?"})
    return QuestionAsked(at=92, signed=signed.model_copy(update={"question": other}))


def test_an_honest_exchange_verifies() -> None:
    assert verify(after(RECEIVED, put(), put(2), told(2), told(1))).broken == []


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (lambda: [put(key=STRANGER)], "neither the owner's nor appointed"),
        (lambda: [reworded()], "the question"),
        (lambda: [put(site="12" * 32)], "another site's"),
        (lambda: [put(request="12" * 32)], "never received"),
        (lambda: [put(2)], "in their order"),
        (lambda: [put(), put()], "in their order"),
        (lambda: [told()], "never asked"),
        (lambda: [put(), told(2)], "never asked"),
        (lambda: [put(), told(), told()], "answered before"),
    ],
)
def test_a_forged_exchange_in_the_log_is_found(forge: Callable[[], list[LogEntry]], says: str) -> None:
    (broken,) = verify(after(RECEIVED, *forge())).broken
    assert says in broken.reason
