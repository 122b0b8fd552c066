"""A real datasite in a folder, with its owner, researchers and two partner sites, driven through its use cases."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, func, select, text

from datasites.execution.answer_round import answer_round
from datasites.execution.ask_round import ask_round, checked_model
from datasites.execution.charge_round import Assignment, charge_next_round
from datasites.execution.setup import accept_roster, start_run
from datasites.execution.trainer_result import RoundResult
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import (
    AdvertisementMessage,
    MaskedUpdateMessage,
    Message,
    Roster,
    RoundStart,
    SetupStart,
    StudySubmission,
    parse_message,
)
from datasites.requests.decide import approve
from datasites.requests.finish_check import admit
from datasites.requests.receive import StudyFiles, receive_study
from datasites.requests.records import Request, find_request
from datasites.requests.review import review
from datasites.requests.rules_file import adopt_file, house_rules_on_disk
from datasites.secure_averaging.advertisement import Advertisement, create
from datasites.site import Site, open_site
from datasites.store.adopted_rules import Adopted
from datasites.store.home import Home
from datasites.store.tables import outbox
from policies.budget.balance import Balance, balance
from policies.log.verify import Report
from policies.programs.digests import MODEL_DOMAIN, PARAMETERS_DOMAIN
from policies.programs.tokeniser import TOKENISER_DOMAIN
from policies.terms import Terms
from tests.databases import SQLITE, check_no_references
from tests.one_study import INITIAL, PARAMETERS, RUN, STUDY, make_submission, make_terms, model, reference, whole
from tests.site_audit import audit
from tests.site_folder import NOW, Clock, copy_site_folder, owner_key
from tests.witness_answers import confirm, hear, take_questions


@dataclass
class Scene:
    """One datasite and the people around it; each method does what its service, its owner or somebody else would do."""

    site: Site
    owner: Path
    owner_key: Ed25519PrivateKey
    researcher: Identity
    other_researcher: Identity
    partners: tuple[Identity, Identity]
    clock: Clock
    mask_keys: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def now(self) -> int:
        return self.site.now

    def terms(self, study: str = STUDY, **changes: Any) -> Terms:
        """Ada's terms for a study of three rounds over the three sites; see `make_terms`."""
        parties = [self.site.identity.party, *(it.party for it in self.partners)]
        return make_terms(study, self.researcher.party, parties, NOW + 86_400, changes)

    def submission(self, terms: Terms, **changes: Any) -> StudySubmission:
        """The message that submits `terms`; its parameters are `INITIAL`, handed to `receive` beside it."""
        return make_submission(terms, changes)

    def receive(
        self,
        terms: Terms,
        sender: IdentityCard | None = None,
        parameters: bytes = INITIAL,
        tokeniser: bytes | None = None,
        terms_text: str | None = None,
        **changes: Any,
    ) -> Request:
        message = self.submission(terms, **{"parameter_parts": whole(parameters), **changes})
        if terms_text is not None:
            message = message.model_copy(update={"terms": terms_text})
        with ExitStack() as stack:
            saved = self.site.contents.saved
            file = stack.enter_context(saved((parameters,), PARAMETERS_DOMAIN, len(parameters)))
            text = None
            if tokeniser is not None:
                text = stack.enter_context(saved((tokeniser,), TOKENISER_DOMAIN, len(tokeniser)))
            connection = stack.enter_context(self.site.engine.begin())
            files = StudyFiles(file, text)
            receive_study(connection, self.site, sender or self.researcher.card, message, files, self.now)
        return self.request(terms.digest())

    def submit(self, study: str = STUDY, **changes: Any) -> Request:
        """Receive a study and let its check succeed: it is pending."""
        request = self.receive(self.terms(study, **changes))
        with self.site.engine.begin() as connection:
            admit(connection, self.site, request)
        return self.request(request.digest)

    def request(self, digest: str) -> Request:
        with self.site.engine.begin() as connection:
            found = find_request(connection, digest)
        assert found is not None
        return found

    def shown_digest(self, request: Request) -> str:
        with self.site.engine.begin() as connection:
            return review(connection, self.site, self.request_in(connection, request)).approval_digest

    def request_in(self, connection: Any, request: Request) -> Request:
        found = find_request(connection, request.digest)
        assert found is not None
        return found

    def approve(self, request: Request) -> Request:
        digest = self.shown_digest(request)
        with self.site.engine.begin() as connection:
            approve(connection, self.site, digest, self.owner_key)
        return self.request(request.digest)

    def approved(self, study: str = STUDY, **changes: Any) -> Request:
        return self.approve(self.submit(study, **changes))

    def start(self, request: Request, run: str = RUN, sender: str | None = None) -> Advertisement:
        message = SetupStart(study=request.terms.study, run=run, terms_digest=request.digest)
        with self.site.engine.begin() as connection:
            start_run(connection, self.site, sender or self.researcher.party, message, self.now)
        answer = self.letters(AdvertisementMessage)[-1]
        assert isinstance(answer, AdvertisementMessage)
        return answer.advertisement

    def roster(self, request: Request, own: Advertisement, run: str = RUN) -> Roster:
        """A roster of the whole cohort; the partners' private mask keys are kept, so that sums can be opened."""
        entries = [own]
        for partner in self.partners:
            entry, keys = create(partner.signing, partner.party, request.digest, run, request.terms.sums)
            entries.append(entry)
            self.mask_keys[partner.party] = keys
        return Roster(study=request.terms.study, run=run, advertisements=tuple(entries))

    def accept(self, roster: Roster, sender: str | None = None) -> None:
        with self.site.engine.begin() as connection:
            accept_roster(connection, self.site, sender or self.researcher.party, roster, self.now)

    def set_up(self, request: Request) -> Roster:
        """Start the run and accept a roster."""
        roster = self.roster(request, self.start(request))
        self.accept(roster)
        self.witness()
        return roster

    def ready(self, study: str = STUDY, **changes: Any) -> Request:
        """An approved study whose run is set up."""
        request = self.approved(study, **changes)
        self.set_up(request)
        return request

    def ask(
        self, request: Request, number: int, content: bytes = b"", run: str = RUN, sender: str | None = None
    ) -> bool:
        message = RoundStart(study=request.terms.study, run=run, round=number, model=reference())
        pieces = checked_model((content or model(),), request.terms)
        with (
            self.site.contents.saved(pieces, MODEL_DOMAIN, 4 * request.terms.programs.parameter_count) as file,
            self.site.engine.begin() as connection,
        ):
            new = ask_round(connection, self.site, sender or self.researcher.party, message, file, self.now)
        self.witness()
        return new

    def witness(self) -> None:
        """Let the partners keep this site's checkpoints: they confirm whatever they were asked, and it is acted on."""
        confirm(self.site, self.now)

    def questions(self) -> dict[str, WitnessRequest]:
        """Take what this site asks from the outbox: the newest question to each witness."""
        return dict(take_questions(self.site))

    def hear(self, witness: str, reply: WitnessReply) -> bool:
        """Act on a witness's answer, as the service does; whether the witness confirmed what it was shown."""
        return hear(self.site, witness, reply, self.now)

    def charge(self) -> Assignment | None:
        self.witness()
        with self.site.engine.begin() as connection:
            return charge_next_round(connection, self.site, self.now)

    def answer(self, assignment: Assignment, value: float = 0.25) -> None:
        terms, number = assignment.request.terms, assignment.round_number
        update = (np.full(PARAMETERS, value, np.float32),) if terms.trains_in(number) else ()
        metrics = np.array([20.0, 5.0]) if terms.evaluates_in(number) else None
        answer_round(self.site, assignment, RoundResult(metrics, iter(update), ("seccomp",)))
        self.witness()

    def compute(self, request: Request, number: int) -> MaskedUpdateMessage:
        """Ask, charge and answer a round; what the site answered."""
        assert self.ask(request, number)
        assignment = self.charge()
        assert assignment is not None
        self.answer(assignment)
        return self.updates()[-1]

    def letters(self, *kinds: type[Message]) -> list[Message]:
        """What waits in the outbox, oldest first, of these kinds."""
        with self.site.engine.begin() as connection:
            rows = connection.execute(select(outbox.c.message).order_by(outbox.c.id)).scalars().all()
        found = [parse_message(row.encode()) for row in rows]
        return [it for it in found if not kinds or isinstance(it, kinds)]

    def updates(self) -> list[MaskedUpdateMessage]:
        return [it for it in self.letters() if isinstance(it, MaskedUpdateMessage)]

    def send_all(self) -> None:
        """Let the relay take everything."""
        with self.site.engine.begin() as connection:
            connection.execute(delete(outbox))

    def balance(self) -> Balance:
        with self.site.engine.begin() as connection:
            population = connection.execute(text("SELECT population FROM data_sets")).scalars().first()
            return balance(connection, str(population))

    def count(self, table: str) -> int:
        with self.site.engine.begin() as connection:
            return int(connection.execute(select(func.count()).select_from(text(table))).scalar_one())

    def tamper(self, statement: str, **values: Any) -> None:
        """Change the database behind the datasite's back; at least one row must be hit."""
        with self.site.engine.begin() as connection:
            check_no_references(connection)
            assert connection.execute(text(statement), values).rowcount

    def rule(self, old: str, new: str) -> None:
        """Let the owner write `new` instead of `old` into the house rules, and adopt them."""
        file = self.site.home.house_rules_file
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self.adopt()

    def rules(self) -> Adopted:
        """The house rules that hold."""
        with self.site.engine.begin() as connection:
            return self.site.house_rules(connection)

    def adopt(self, text: str | None = None) -> Adopted:
        """Let the owner adopt the house rules as the file has them, or `text` as the file."""
        if text is not None:
            self.site.home.house_rules_file.write_text(text)
        with self.site.engine.begin() as connection:
            return adopt_file(connection, self.site, self.owner_key, house_rules_on_disk(self.site))

    def audit(self) -> Report:
        """What an auditor with the site's card finds in its exported log."""
        return audit(self.site)


def new_scene(folder: Path, database: str = SQLITE) -> Scene:
    """A fresh copy of the same site: 100 patients registered, ada and eve pinned as researchers, two partner sites."""
    copy_site_folder(folder, database)
    clock = Clock()
    return Scene(
        site=open_site(Home(folder / "home"), clock),
        owner=folder / "owner",
        owner_key=owner_key(),
        researcher=Identity.load(folder / "ada"),
        other_researcher=Identity.load(folder / "eve"),
        partners=(Identity.load(folder / "bern"), Identity.load(folder / "cadiz")),
        clock=clock,
    )
