"""A researcher's desk without a relay: her study at three sites, and what the sites write to her about it."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.messages import Message
from datasites.protocol.question_messages import RequestQuestion
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
        state.add_study(STUDY, {"terms": terms.canonical().decode(), **columns}, b"", b"", None, None)
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
