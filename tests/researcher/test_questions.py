"""Questions at the researcher's desk: only a site's own people ask, about what it was sent; each is answered once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.messages import Message, StudyStatus
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from policies.errors import ConflictError, InvalidInputError, UnavailableError
from policies.question import Question, sign_question
from researcher.correspondence import Correspondence
from researcher.state import State
from researcher.study import Study
from tests.one_study import STUDY, make_terms
from tests.researcher.plans import LogisticRegression


@dataclass
class Post:
    """A relay in memory that delivers what the sites write, and drops what the researcher sends."""

    waiting: list[tuple[int, bytes]] = field(default_factory=list)

    def receive(self, after: int, _seconds: float) -> list[tuple[int, bytes]]:
        return [it for it in self.waiting if it[0] > after]


class Letters(Correspondence):
    """Correspondence that keeps what it would have sent."""

    def send(self, sites: object, message: Message, seconds: float) -> None:
        del seconds
        self.sent = [*getattr(self, "sent", []), (sites, message)]


class Desk:
    """Ada, a study at three sites, and what the sites write about it."""

    def __init__(self, folder: Path) -> None:
        self.owners = [Ed25519PrivateKey.generate() for _ in range(3)]
        self.sites = [
            Identity.create(folder / name, name, "datasite", owner.public_key().public_bytes_raw())
            for name, owner in zip(("anna", "bern", "cork"), self.owners, strict=True)
        ]
        ada, self.post = Identity.create(folder / "ada", "ada", "researcher"), Post()
        state = State(folder / "state.sqlite")
        for site in self.sites:
            state.pin(site.card)
        self.letters = Letters(ada, state, self.post)
        terms = make_terms(STUDY, ada.party, [site.party for site in self.sites], 2_000_000_000, {})
        columns = {"loss_program": "", "metrics_program": "", "source": ""}
        state.add_study({"study": STUDY, "terms": terms.canonical().decode(), **columns}, b"", b"")
        self.study = Study(terms, LogisticRegression(), self.letters)

    def question(self, site: int = 0, number: int = 1, text: str = "Why?", **changes: object) -> Question:
        fields = {
            "version": "cloister-question/1",
            "site": self.sites[site].party,
            "request": self.study.terms.digest(),
            "number": number,
            "text": text,
            "asked_at": 5,
        }
        return Question.model_validate({**fields, **changes})

    def asks(self, question: Question, key: int = 0, sender: int = 0, name: str = STUDY) -> None:
        self.says(RequestQuestion(name=name, signed=sign_question(self.owners[key], None, question)), sender)

    def says(self, message: Message, sender: int = 0) -> None:
        number = len(self.post.waiting) + 1
        ada = self.letters.identity.card
        self.post.waiting.append((number, seal(self.sites[sender], ada, number, message)))
        self.letters.listen(0)


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
