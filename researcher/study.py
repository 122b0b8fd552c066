"""A study: follow its approvals, run its rounds as coordinator, and take it up again after a restart."""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import (
    AdvertisementMessage,
    Message,
    RoundRefused,
    SetupStart,
    StudyClose,
    StudySubmission,
)
from datasites.protocol.messages import Roster as RosterMessage
from datasites.secure_averaging.advertisement import Advertisement, check_roster
from datasites.tensor_programs.load import load_parameters, unflatten
from policies.decision import SignedDecision, verify_decision
from policies.errors import InvalidInputError, RefusedError, UnavailableError
from policies.programs.format import parse_program
from policies.statements.canonical import canonical_bytes
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms
from researcher.correspondence import Correspondence, Received
from researcher.plan import TrainingPlan
from researcher.results import Result, RoundRecord
from researcher.rounds import RoundOpener

_REFUSED = ("refused", "denied", "failed", "expired", "closed")
_UNDECIDED = ("unknown", "received", "pending")
_MAXIMUM_STORED_BYTES = 64 << 20


@dataclass(frozen=True)
class SiteStatus:
    """Where a study stands at one site; `detail` is the site's own sentence."""

    site: str
    status: str
    detail: str


@dataclass(frozen=True)
class Study:
    """A submitted study. Everything that matters is in the state file, so `run` may be called again at any time."""

    terms: Terms
    plan: TrainingPlan = field(repr=False)
    correspondence: Correspondence = field(repr=False)

    @property
    def identifier(self) -> str:
        """The study's name; `federation.study(identifier, plan)` opens it again."""
        return self.terms.study

    @property
    def cohort(self) -> list[IdentityCard]:
        """The sites of the cohort, in the order of the terms."""
        sites = self.correspondence.state.sites()
        return [sites[member.site] for member in self.terms.cohort]

    def send_submission(self) -> None:
        """Send (or send again) the request to every site; a site that has it already answers where it stands."""
        row = self._row()
        parameters = self.correspondence.upload(row["initial_parameters"])
        submission = StudySubmission(
            study=self.identifier,
            terms=row["terms"],
            loss_program=row["loss_program"],
            metrics_program=row["metrics_program"],
            source=row["source"],
            initial_parameters=parameters,
        )
        for card in self.cohort:
            self.correspondence.send(card.party, submission)

    def statuses(self) -> list[SiteStatus]:
        """Where the study stands at each site, as last heard."""
        with self.correspondence.state.transaction() as connection:
            rows = connection.execute("SELECT * FROM statuses WHERE study = ?", (self.identifier,)).fetchall()
        heard = {row["site"]: row for row in rows}
        return [
            SiteStatus(card.name, heard[card.party]["status"], heard[card.party]["detail"])
            if card.party in heard
            else SiteStatus(card.name, "unknown", "This site has not answered yet.")
            for card in self.cohort
        ]

    def wait(self, seconds: float = 86_400.0) -> "Study":
        """Wait until every owner has decided.

        Raises:
            RefusedError: an owner said no, or a site refused the request; with the reason.
            UnavailableError: some have not decided within `seconds`; they are named.
            NotAuthenticError: a site says «approved» without its owner's signature over these very terms.
        """
        self.correspondence.collect(lambda _card, _message: False, lambda _taken: self._all_decided(), seconds)
        statuses = self.statuses()
        refused = [
            f"{it.site}: {it.detail}" for it in statuses if it.status in ("refused", "denied", "failed", "expired")
        ]
        if refused:
            raise RefusedError(f"The study was not approved. {' '.join(refused)}")
        open_sites = [it.site for it in statuses if it.status in _UNDECIDED]
        if open_sites:
            raise UnavailableError(f"No decision yet from {', '.join(open_sites)}; wait again later.")
        self._check_decisions()
        return self

    def run(self) -> Result:
        """Run the rounds that are left, with a progress bar, and give the result.

        Raises:
            RefusedError: a site refused a round; the reason is named.
            UnavailableError: a site did not answer before the deadline; it is named, and `run` may be tried again.
        """
        self.wait(0)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns) as progress:
            bar = progress.add_task("secure rounds", total=self.terms.sums, completed=self._row()["round"])
            for record in self.rounds():
                progress.update(bar, completed=record.round)
        return self.result()

    def rounds(self) -> Iterator[RoundRecord]:
        """Run the rounds that are left one by one; each is in the state file before it is given out."""
        roster, run = self._roster()
        opener = RoundOpener(self.correspondence, self.terms, self.cohort, run, roster)
        for number in range(self._row()["round"] + 1, self.terms.sums + 1):
            row = self._row()
            model, record = opener.open(number, np.frombuffer(row["model"], "<f4"))
            history = [*json.loads(row["history"]), record.as_json()]
            with self.correspondence.state.transaction() as connection:
                connection.execute(
                    "UPDATE studies SET round = ?, model = ?, history = ? WHERE study = ?",
                    (number, model.astype("<f4").tobytes(), json.dumps(history), self.identifier),
                )
            yield record

    def result(self) -> Result:
        """The model and history as far as the study has come."""
        row = self._row()
        history = tuple(RoundRecord.from_json(entry) for entry in json.loads(row["history"]))
        program = parse_program(row["loss_program"].encode())
        initial = load_parameters(row["initial_parameters"], program, maximum_bytes=len(row["initial_parameters"]))
        trained = unflatten(torch.frombuffer(bytearray(row["model"]), dtype=torch.float32), program)
        sites = tuple(card.name for card in self.cohort)
        return Result(self.terms, self.plan, sites, history, {**initial, **trained})

    def cancel(self, reason: str) -> None:
        """Tell every site that no more rounds follow, so that it returns what was reserved and never charged."""
        for card in self.cohort:
            self.correspondence.send(card.party, StudyClose(study=self.identifier, reason=reason))

    def _all_decided(self) -> bool:
        return all(it.status not in _UNDECIDED for it in self.statuses())

    def _check_decisions(self) -> None:
        with self.correspondence.state.transaction() as connection:
            rows = connection.execute(
                "SELECT site, decision FROM statuses WHERE study = ?", (self.identifier,)
            ).fetchall()
        texts = {row["site"]: row["decision"] for row in rows}
        for card in self.cohort:
            if texts[card.party] is None:
                raise RefusedError(f"{card.name} sent no signed decision with its approval; ask its owner.")
            signed = parse_model(
                SignedDecision, texts[card.party].encode(), maximum_bytes=_MAXIMUM_STORED_BYTES, what="The decision"
            )
            decision = verify_decision(signed, bytes.fromhex(card.owner_key or ""))
            expected = ("approve", card.party, self.terms.digest())
            if (decision.verdict, decision.site, decision.request) != expected:
                raise RefusedError(f"{card.name} sent a decision over something else than these terms; ask its owner.")

    def _roster(self) -> tuple[list[Advertisement], str]:
        row = self._row()
        run = row["run"] or self._begin_run()
        if row["roster"] is not None:
            entries = json.loads(row["roster"])
            return [Advertisement.model_validate_json(json.dumps(entry)) for entry in entries], run
        for card in self.cohort:
            self.correspondence.send(
                card.party, SetupStart(study=self.identifier, run=run, terms_digest=self.terms.digest())
            )
        answers = self.correspondence.collect(
            lambda _card, message: self._concerns_setup(message, run),
            lambda taken: len(_by_site(taken)) == len(self.cohort) or len(_by_site(taken)) < len(taken),
            self.terms.deadlines.setup_seconds,
        )
        for card, message in answers:
            if isinstance(message, RoundRefused):
                self._forget_run()
                raise RefusedError(f"{card.name} refused to set up the run: {message.reason}")
        found = _by_site(answers)
        missing = [card.name for card in self.cohort if card.party not in found]
        if missing:
            raise UnavailableError(
                f"{', '.join(missing)} did not set up the run within {self.terms.deadlines.setup_seconds} s; "
                "run the study again when they are back."
            )
        roster = [found[card.party] for card in self.cohort]
        pinned = {card.party: bytes.fromhex(card.signing_key) for card in self.cohort}
        check_roster(roster, self.terms, run, pinned)
        stored = canonical_bytes([entry.model_dump(mode="json") for entry in roster]).decode()
        with self.correspondence.state.transaction() as connection:
            connection.execute("UPDATE studies SET roster = ? WHERE study = ?", (stored, self.identifier))
        for card in self.cohort:
            self.correspondence.send(
                card.party, RosterMessage(study=self.identifier, run=run, advertisements=tuple(roster))
            )
        return roster, run

    def _begin_run(self) -> str:
        run = secrets.token_hex(16)
        with self.correspondence.state.transaction() as connection:
            connection.execute("UPDATE studies SET run = ? WHERE study = ?", (run, self.identifier))
        return run

    def _forget_run(self) -> None:
        """Let the next attempt be a run of its own, so that late answers to this one are never taken for its."""
        with self.correspondence.state.transaction() as connection:
            connection.execute("UPDATE studies SET run = NULL WHERE study = ?", (self.identifier,))

    def _concerns_setup(self, message: Message, run: str) -> bool:
        expected = (self.identifier, run)
        return isinstance(message, AdvertisementMessage | RoundRefused) and (message.study, message.run) == expected

    def _row(self) -> sqlite3.Row:
        return study_row(self.correspondence, self.identifier)


def open_study(correspondence: Correspondence, identifier: str, plan: TrainingPlan) -> Study:
    """Open a study from the state file.

    Raises:
        InvalidInputError: there is none of this name.
    """
    text = study_row(correspondence, identifier)["terms"]
    terms = parse_model(Terms, text.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="The study's stored terms")
    return Study(terms, plan, correspondence)


def study_row(correspondence: Correspondence, identifier: str) -> sqlite3.Row:
    """The study's row in the state file."""
    with correspondence.state.transaction() as connection:
        row: sqlite3.Row | None = connection.execute("SELECT * FROM studies WHERE study = ?", (identifier,)).fetchone()
    if row is None:
        raise InvalidInputError(f"This researcher's folder has no study {identifier}; submit it first.")
    return row


def _by_site(taken: list[Received]) -> dict[str, Advertisement]:
    return {card.party: message.advertisement for card, message in taken if isinstance(message, AdvertisementMessage)}
