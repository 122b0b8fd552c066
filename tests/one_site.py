"""A real datasite in a folder, with its owner, researchers and two partner sites, driven through its use cases."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, func, select, text

from datasites.catalog.registration import register_data_set
from datasites.execution.answer_round import answer_round
from datasites.execution.ask_round import MODEL_DOMAIN, ask_round, checked_model
from datasites.execution.charge_round import Assignment, charge_next_round
from datasites.execution.release_round import release_witnessed
from datasites.execution.setup import accept_roster, start_run
from datasites.execution.trainer_process import RoundResult
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.messages import (
    AdvertisementMessage,
    MaskedUpdateMessage,
    Message,
    Roster,
    RoundStart,
    SetupStart,
    StudySubmission,
    WitnessReply,
    WitnessRequest,
    parse_message,
)
from datasites.protocol.owner_key import create_owner_key, load_owner_key
from datasites.requests.decide import approve
from datasites.requests.finish_check import admit
from datasites.requests.receive import receive_study
from datasites.requests.records import Request, find_request
from datasites.requests.review import review
from datasites.secure_averaging.advertisement import Advertisement, create
from datasites.site import Site, create_site, open_site
from datasites.store.home import Home, Settings
from datasites.store.peers import pin
from datasites.store.tables import outbox
from datasites.witnesses.hear import hear_witness
from policies.budget.balance import Balance, balance
from policies.log.bundle import SiteFacts
from policies.log.journal import export_bundle
from policies.log.verify import Pinned, Report, verify_bundle
from policies.programs.digests import PARAMETERS_DOMAIN
from policies.terms import Terms
from tests.conftest import CLINIC, HEADER
from tests.one_study import INITIAL, LOSS, METRICS, PARAMETERS, RUN, SOURCE, STUDY, make_terms, model, reference

NOW = 1_900_000_000
PASSPHRASE = b"three wards and a garden"
LIFETIME_EPSILON = 10.0


@dataclass
class Clock:
    """The site's clock, which tests turn."""

    seconds: float = NOW

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Scene:
    """One datasite and the people around it; `driver` is who sends the coordinator's messages."""

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
        fields = {
            "study": terms.study,
            "terms": terms.canonical().decode(),
            "loss_program": LOSS,
            "metrics_program": METRICS,
            "source": SOURCE,
            "initial_parameters": reference(),
        }
        return StudySubmission(**{**fields, **changes})

    def receive(
        self,
        terms: Terms,
        sender: IdentityCard | None = None,
        parameters: bytes = INITIAL,
        terms_text: str | None = None,
        **changes: Any,
    ) -> Request:
        message = self.submission(terms, **changes)
        if terms_text is not None:
            message = message.model_copy(update={"terms": terms_text})
        with (
            self.site.contents.saved((parameters,), PARAMETERS_DOMAIN, len(parameters)) as file,
            self.site.engine.begin() as connection,
        ):
            receive_study(connection, self.site, sender or self.researcher.card, message, file, self.now)
            found = find_request(connection, terms.digest())
        assert found is not None
        return found

    def submit(self, study: str = STUDY, **changes: Any) -> Request:
        """Receive a study and let its check succeed: it is pending."""
        request = self.receive(self.terms(study, **changes))
        with self.site.engine.begin() as connection:
            admit(connection, request, self.now)
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
        answer_round(self.site, assignment, RoundResult(metrics, iter(update)))
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
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            assert connection.exec_driver_sql(statement, values).rowcount

    def audit(self) -> Report:
        """What an auditor with the site's card finds in its exported log."""
        card, key = self.site.identity.card, self.site.identity.log
        assert key is not None
        assert card.log_key is not None
        assert card.owner_key is not None
        facts = SiteFacts(name=card.name, signing_key=card.signing_key, log_key=card.log_key, owner_key=card.owner_key)
        with self.site.engine.begin() as connection:
            bundle = export_bundle(connection, key, facts)
        return verify_bundle(bundle, Pinned(bytes.fromhex(card.log_key), bytes.fromhex(card.owner_key)))


def take_questions(site: Site) -> list[tuple[str, WitnessRequest]]:
    """What a site asks its witnesses, taken from its outbox."""
    taken = []
    with site.engine.begin() as connection:
        for row in connection.execute(select(outbox).order_by(outbox.c.id)).all():
            message = parse_message(row.message.encode())
            if isinstance(message, WitnessRequest):
                taken.append((row.recipient, message))
                connection.execute(delete(outbox).where(outbox.c.id == row.id))
    return taken


def hear(site: Site, witness: str, reply: WitnessReply, now: int) -> bool:
    """Let a site act on a witness's answer, as its service does."""
    with site.engine.begin() as connection:
        confirmed = hear_witness(connection, site, witness, reply, now)
        release_witnessed(connection, site, now)
    return confirmed


def confirm(site: Site, now: int) -> None:
    """Let every witness confirm what it is asked, until nothing more is."""
    while asked := take_questions(site):
        for party, message in asked:
            reply = WitnessReply(nonce=message.nonce, checkpoint=message.checkpoint, balance=message.balance)
            hear(site, party, reply, now)


def rows(patients: int = 100, first: int = 0) -> Sequence[str]:
    """One visit of each patient."""
    return [
        f"p{number:04},{30 + number % 50},120,A,{('no', 'yes')[number % 2]}"
        for number in range(first, first + patients)
    ]


def write_table(path: Path, patients: int = 100, first: int = 0) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows(patients, first)))
    return path


def write_manifest(path: Path, name: str = "clinic-a", holdout: float = 0.25) -> Path:
    path.write_text(CLINIC.replace('"clinic-a"', f'"{name}"').replace("fraction = 0.25", f"fraction = {holdout}"))
    return path


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    keep = tempfile.TemporaryDirectory(prefix="site")
    folder = Path(keep.name)
    settings = Settings(name="Clinic A", relay="http://127.0.0.1:9", contact="owner@clinic-a.example")
    site = create_site(Home(folder / "home"), settings, create_owner_key(folder / "owner", PASSPHRASE), Clock())
    for name in ("ada", "eve"):
        with site.engine.begin() as connection:
            pin(connection, Identity.create(folder / name, name, "researcher").card, NOW)
    for name in ("bern", "cadiz"):
        partner = Identity.create(
            folder / name, name, "datasite", Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        )
        with site.engine.begin() as connection:
            pin(connection, partner.card, NOW)
    table, manifest = write_table(folder / "table.csv"), write_manifest(folder / "manifest.toml")
    register_data_set(site, manifest, table, LIFETIME_EPSILON)
    site.engine.dispose()
    return keep


@cache
def _owner_key() -> Ed25519PrivateKey:
    return load_owner_key(Path(_template().name) / "owner", PASSPHRASE)


def new_scene(folder: Path) -> Scene:
    """A fresh copy of the same site: 100 patients registered, ada and eve pinned as researchers, two partner sites."""
    shutil.copytree(_template().name, folder, dirs_exist_ok=True)
    clock = Clock()
    return Scene(
        site=open_site(Home(folder / "home"), clock),
        owner=folder / "owner",
        owner_key=_owner_key(),
        researcher=Identity.load(folder / "ada"),
        other_researcher=Identity.load(folder / "eve"),
        partners=(Identity.load(folder / "bern"), Identity.load(folder / "cadiz")),
        clock=clock,
    )
