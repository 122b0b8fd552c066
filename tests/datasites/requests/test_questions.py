"""A question on a request and its answer: asked by the owner, logged, sent, answered once, shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from datasites.protocol.messages import StudyClose
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from datasites.requests.answer import take_answer
from datasites.requests.ask import ask
from datasites.requests.questions import Asked, questions_on
from datasites.requests.withdraw import withdraw
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.log.journal import entries
from policies.log.question_entries import QuestionAnswered, QuestionAsked
from policies.question import MOST_QUESTIONS
from tests.one_job import new_job_scene
from tests.one_site import Scene, new_scene


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)


def asked(scene: Scene, number: int = 1, text: str = "Why six columns?") -> Asked:
    with scene.site.engine.begin() as connection:
        return ask(connection, scene.site, number, text, scene.owner_key)


def answered(scene: Scene, request: str, number: int = 1, answer: str = "They are what is routine.") -> list[Asked]:
    with scene.site.engine.begin() as connection:
        message = RequestAnswer(request=request, number=number, answer=answer)
        take_answer(connection, scene.researcher.party, message, scene.now)
        return questions_on(connection, request)


def test_a_question_is_sent_logged_and_answered(scene: Scene) -> None:
    request = scene.submit()
    first = asked(scene)
    (letter,) = scene.letters(RequestQuestion)
    assert letter == RequestQuestion(name=request.terms.study, signed=first.signed)
    assert (first.question.number, asked(scene, text="And who pays?").question.number) == (1, 2)
    found = answered(scene, request.digest)
    assert [(it.by, it.question.text, it.answer) for it in found] == [
        ("the owner", "Why six columns?", "They are what is routine."),
        ("the owner", "And who pays?", None),
    ]
    answered(scene, request.digest)  # the same letter, written again after a crash
    with scene.site.engine.begin() as connection:
        logged = [it for _, it in entries(connection) if isinstance(it, QuestionAsked | QuestionAnswered)]
    assert [it.kind for it in logged] == ["question-asked", "question-asked", "question-answered"]
    report = scene.audit()
    assert report.broken == []
    assert any("2 questions on requests" in it and "1 answers" in it for it in report.proved)


@pytest.mark.both_databases
def test_an_approved_request_may_be_asked_about_and_an_ended_one_not(scene: Scene) -> None:
    request = scene.approved()
    asked(scene)
    with scene.site.engine.begin() as connection:
        withdraw(connection, request.sender, StudyClose(study=request.terms.study, reason="enough"), scene.now)
    with pytest.raises(ConflictError, match="closed"):
        asked(scene)
    assert answered(scene, request.digest)[0].answer  # it was asked while the study was open


def test_questions_have_bounds(scene: Scene) -> None:
    scene.submit()
    for text in ("", "x" * 2001, "Why\u200b?"):
        with pytest.raises(ValidationError):
            asked(scene, text=text)
    for _ in range(MOST_QUESTIONS):
        asked(scene)
    with pytest.raises(RefusedError, match="deny it with a reason"):
        asked(scene)
    with pytest.raises(InvalidInputError):
        asked(scene, number=2)


def test_only_the_owner_asks(scene: Scene) -> None:
    scene.submit()
    with scene.site.engine.begin() as connection, pytest.raises(NotAuthenticError):
        ask(connection, scene.site, 1, "Why?", scene.researcher.signing)
    assert scene.letters(RequestQuestion) == []


def test_a_job_is_asked_about_alike(tmp_path: Path, database: str) -> None:
    jobs = new_job_scene(tmp_path, database)
    job = jobs.receive()
    asked(jobs.scene, job.number)
    (letter,) = jobs.scene.letters(RequestQuestion)
    assert isinstance(letter, RequestQuestion)
    assert letter.name == job.terms.job
    assert answered(jobs.scene, job.digest)[0].answer == "They are what is routine."
    jobs.scene.audit()
    assert jobs.scene.audit().broken == []
