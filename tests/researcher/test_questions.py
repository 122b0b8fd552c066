"""Questions at the researcher's desk: only a site's own people ask, about what it was sent; each is answered once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datasites.protocol.messages import StudyStatus
from datasites.protocol.question_messages import RequestAnswer
from policies.errors import ConflictError, InvalidInputError, UnavailableError
from tests.one_study import STUDY
from tests.researcher.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_question_is_seen_and_answered(desk: Desk) -> None:
    desk.says(StudyStatus(study=STUDY, status="pending", detail="The owner has not decided yet."))
    desk.asks(desk.question())
    with pytest.raises(UnavailableError, match="anna asks: «Why\\?»"):
        desk.study.wait(0)
    (question,) = desk.study.questions()
    assert (question.site, question.by, question.text, question.answer) == ("anna", "the owner", "Why?", None)
    desk.study.answer("Because it is routine.")
    answer = RequestAnswer(request=desk.study.terms.digest(), number=1, answer="Because it is routine.")
    assert desk.letters.sent == [([desk.sites[0].party], answer)]
    assert desk.study.questions()[0].answer == "Because it is routine."
    with pytest.raises(ConflictError):
        desk.study.answer("No: …", question)
    with pytest.raises(UnavailableError, match="No decision yet"):
        desk.study.wait(0)


def test_of_several_questions_one_has_to_be_named(desk: Desk) -> None:
    with pytest.raises(InvalidInputError, match="0 questions"):
        desk.study.answer("Because.")
    desk.asks(desk.question())
    desk.asks(desk.question(site=1), key=1, sender=1)
    with pytest.raises(InvalidInputError, match="2 questions"):
        desk.study.answer("Because.")
    first, second = desk.study.questions()
    desk.study.answer("To bern.", second)
    assert [it.answer for it in desk.study.questions()] == [None, "To bern."]
    with pytest.raises(InvalidInputError, match="No site takes"):
        desk.study.answer("Sure\u202e.", first)


def test_an_asked_question_stays_as_it_was_first_asked(desk: Desk) -> None:
    desk.asks(desk.question(text="Why?"))
    desk.asks(desk.question(text="Why not?"))
    assert [it.text for it in desk.study.questions()] == ["Why?"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda desk: desk.asks(desk.question(), key=1),
        lambda desk: desk.asks(desk.question(site=1), key=1),
        lambda desk: desk.asks(desk.question(site=1), key=1, sender=0),
        lambda desk: desk.asks(desk.question(request="b" * 64)),
        lambda desk: desk.asks(desk.question(), name="2" * 32),
    ],
)
def test_nobody_asks_in_anothers_name_or_about_anothers_study(desk: Desk, forge: Callable[[Desk], None]) -> None:
    forge(desk)
    assert desk.study.questions() == []
