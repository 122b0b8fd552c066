"""A study: follow its approvals, run its rounds as coordinator, and take it up again after a restart."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasites.protocol.identity import IdentityCard
from datasites.protocol.log_messages import SumOpenedMessage
from datasites.protocol.messages import MaskedUpdateMessage, Message, RoundRefused, StudyClose
from datasites.tensor_programs.load import load_parameters, unflatten
from policies.errors import RefusedError, UnavailableError
from policies.programs.format import parse_program
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms
from researcher.approvals import received_approvals, require_approvals, told
from researcher.correspondence import Correspondence
from researcher.plan import TrainingPlan
from researcher.question_state import Question, questions_on
from researcher.questions import answer_question
from researcher.receipts import collect_receipt
from researcher.results import Result
from researcher.round_record import RoundRecord, read_history
from researcher.rounds import RoundOpener
from researcher.run_setup import set_up_run
from researcher.sending import send_request
from researcher.sent_weights import INCOMPLETE, sites_that_lack
from researcher.stopping import stopped_early, stored_rule

_ENDED = ("refused", "denied", "failed", "expired", "closed", "revoked", "superseded")
_UNDECIDED = ("unknown", INCOMPLETE, "received", "pending")


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
        send_request(self.correspondence, self.terms, [card.party for card in self.cohort])

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
        """Wait until every owner has decided; sites that lack weights are sent them, once.

        Raises:
            RefusedError: an owner said no, or a site refused the request; with the reason.
            UnavailableError: some have not decided within `seconds`, or ask something first; they are named.
            NotAuthenticError: a site says «approved» without enough of its people's signatures over these very terms.
        """
        started = time.monotonic()
        self._listen_for_decisions(seconds)
        if lacking := self._incomplete():
            send_request(self.correspondence, self.terms, lacking)
            self._listen_for_decisions(seconds - (time.monotonic() - started))
        statuses = self.statuses()
        ended = [f"{it.site}: {it.detail}" for it in statuses if it.status in _ENDED]
        if ended:
            raise RefusedError(f"The study cannot run. {' '.join(ended)}")
        asked = " ".join(f"{it.site} asks: «{it.text}»." for it in self._open_questions())
        if asked:
            raise UnavailableError(f"{asked} Answer with study.answer(…), then wait again.")
        open_sites = [it.site for it in statuses if it.status in _UNDECIDED]
        if open_sites:
            raise UnavailableError(f"No decision yet from {', '.join(open_sites)}; wait again later.")
        require_approvals(self.correspondence.state, self.cohort, self.terms)
        return self

    def questions(self) -> list[Question]:
        """What the sites' people asked about the study, as last heard, each with the answer that was sent."""
        return questions_on(self.correspondence.state, self.terms.digest())

    def answer(self, text: str, question: Question | None = None) -> None:
        """Answer a question, by default the only one that is open; its site logs the answer, and keeps the first.

        Raises:
            InvalidInputError: several are open and none is named, or no site takes this text.
            ConflictError: it was answered before.
            UnavailableError: the relay cannot be reached.
        """
        seconds = self.terms.deadlines.setup_seconds
        answer_question(self.correspondence, self.terms.digest(), text, question, seconds)

    def run(self) -> Result:
        """Run the rounds that are left, with a progress bar, and give the result.

        Raises:
            RefusedError: a site refused a round; the reason is named.
            UnavailableError: a site did not answer before the deadline; it is named, and `run` may be tried again.
        """
        if self.stopped_early is None:
            self.wait(0)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns) as progress:
            bar = progress.add_task("secure rounds", total=self.terms.sums, completed=self._row()["round"])
            for record in self.rounds():
                progress.update(bar, completed=record.round)
        return self.result()

    def rounds(self) -> Iterator[RoundRecord]:
        """Run the rounds that are left one by one; each is in the state file before it is given out.

        A study that stops early is then closed at every site, again with each call until all have said that it is.
        """
        if self.stopped_early is None:
            yield from self._rounds_left()
        stopped = self.stopped_early
        if stopped is not None and any(it.status not in _ENDED for it in self.statuses()):
            self._tell_sums()
            self.cancel(stopped)
        with suppress(UnavailableError):
            self.correspondence.listen(0)  # sites may ask for a witness once more

    def _rounds_left(self) -> Iterator[RoundRecord]:
        seconds = self.terms.deadlines.setup_seconds
        self.correspondence.discard(lambda _card, message: self._answers_a_round(message), seconds)
        roster, run = set_up_run(self.correspondence, self.terms, self.cohort)
        opener = RoundOpener(self.correspondence, self.terms, self.cohort, run, roster)
        state = self.correspondence.state
        model = state.model(self.identifier)
        self._tell_sums()
        for number in range(self._row()["round"] + 1, self.terms.sums + 1):
            model, record, opened = opener.open(number, model)
            history = [*json.loads(self._row()["history"]), record.as_json()]
            state.finish_round(self.identifier, number, model, json.dumps(history), opened)
            self._tell_sums()
            yield record
            if self.stopped_early is not None:
                return

    @property
    def stopped_early(self) -> str | None:
        """Why no more rounds follow, if the study stopped early; it follows from the history, so a restart knows it."""
        row = self._row()
        rule = stored_rule(row["stopping_rule"])
        return None if rule is None else stopped_early(rule, self.terms, read_history(row["history"]))

    def result(self) -> Result:
        """The model and history as far as the study has come."""
        row = self._row()
        program = parse_program(row["loss_program"].encode())
        parameters = self.correspondence.state.parameters(self.identifier)
        initial = load_parameters(parameters, program, maximum_bytes=len(parameters))
        trained = unflatten(torch.from_numpy(self.correspondence.state.model(self.identifier)), program)
        sites = tuple(card.name for card in self.cohort)
        received = received_approvals(self.correspondence.state, self.identifier)
        approvals = tuple(it for it in received.values() if told(it).approves)
        history, values = read_history(row["history"]), {**initial, **trained}
        return Result(self.terms, self.plan, sites, history, values, approvals, self.stopped_early)

    def cancel(self, reason: str) -> None:
        """Tell every site that no more rounds follow, so that it returns what was reserved and never charged."""
        close = StudyClose(study=self.identifier, reason=reason)
        parties = [card.party for card in self.cohort]
        self.correspondence.send(parties, close, self.terms.deadlines.setup_seconds)

    def receipt(self, file: Path | str) -> Path:
        """Write a proof, for anybody, that the model came from exactly these approvals; every site has to answer.

        Raises:
            UnavailableError: a site did not answer before the setup deadline of the terms; it is named.
        """
        made = collect_receipt(self.correspondence, self.terms, self.cohort)
        target = Path(file).expanduser()
        target.write_bytes(made.canonical())
        return target

    def _tell_sums(self) -> None:
        """Tell every site what was opened of the rounds that they have not been told of, so that each can prove it."""
        state, parties = self.correspondence.state, [card.party for card in self.cohort]
        for signed in state.sums(self.identifier, untold=True):
            message = SumOpenedMessage(study=self.identifier, signed=signed)
            self.correspondence.send(parties, message, self.terms.deadlines.round_seconds)
            state.told_sum(self.identifier, signed.opened.round)

    def _answers_a_round(self, message: Message) -> bool:
        return isinstance(message, MaskedUpdateMessage | RoundRefused) and message.study == self.identifier

    def _listen_for_decisions(self, seconds: float) -> None:
        def heard(_taken: object) -> bool:
            return self._all_decided() or bool(self._open_questions()) or bool(self._incomplete())

        self.correspondence.collect(lambda _card, _message: False, heard, seconds)

    def _incomplete(self) -> list[str]:
        with self.correspondence.state.transaction() as connection:
            return sites_that_lack(connection, self.identifier)

    def _open_questions(self) -> list[Question]:
        undecided = {it.site for it in self.statuses() if it.status in _UNDECIDED}
        return [it for it in self.questions() if it.answer is None and it.site in undecided]

    def _all_decided(self) -> bool:
        return all(it.status not in _UNDECIDED for it in self.statuses())

    def _row(self) -> sqlite3.Row:
        return self.correspondence.state.study(self.identifier)


def open_study(correspondence: Correspondence, identifier: str, plan: TrainingPlan) -> Study:
    """Open a study from the state file.

    Raises:
        InvalidInputError: there is none of this name.
    """
    text = correspondence.state.study(identifier)["terms"]
    terms = parse_model(Terms, text.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="The study's stored terms")
    return Study(terms, plan, correspondence)
