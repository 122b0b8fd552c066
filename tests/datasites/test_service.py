"""The running service in one process, with a relay that lives in memory: a whole study, and letters meant to end it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import wrap
from datasites.protocol.envelope import open_envelope, seal
from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import (
    AdvertisementMessage,
    CatalogReply,
    CatalogRequest,
    MaskedUpdateMessage,
    Message,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
)
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import Sealed
from datasites.requests.records import Status
from datasites.service import Service
from policies.errors import NotAuthenticError, UnavailableError
from policies.log.entries import MessageRefused
from policies.log.journal import entries
from tests.one_site import Scene
from tests.one_study import INITIAL, LOSS, RUN, STUDY, model


class Relay:
    """What the service's mailbox talks to: letters by cursor until they are acknowledged, and blobs."""

    def __init__(self) -> None:
        self.waiting: dict[int, bytes] = {}
        self.sent: list[bytes] = []
        self.blobs: dict[str, bytes] = {}
        self._cursor = 0

    def deliver(self, envelope: bytes) -> None:
        self._cursor += 1
        self.waiting[self._cursor] = envelope

    def receive(self, after: int, _seconds: float, forget: int) -> list[tuple[int, bytes]]:
        time.sleep(0.01)
        self.waiting = {cursor: letter for cursor, letter in list(self.waiting.items()) if cursor > forget}
        return sorted((cursor, letter) for cursor, letter in list(self.waiting.items()) if cursor > after)

    def send(self, letters: Sequence[bytes]) -> list[Fate]:
        self.sent += letters
        return [Fate.TAKEN] * len(letters)

    def put_blob(self, sealed: Sealed, _seconds: float) -> None:
        self.blobs[sealed.reference.digest] = b"".join(sealed.pieces(0))

    def get_blob(self, reference: BlobReference, _seconds: float) -> Iterator[bytes]:
        if reference.digest not in self.blobs:
            raise UnavailableError("The relay does not have this content.")
        yield self.blobs[reference.digest]


class Running:
    """A service in a thread, and what its researchers write and read."""

    def __init__(self, scene: Scene, relay: Relay) -> None:
        self.scene, self.relay, self.numbers = scene, relay, dict[str, int]()
        self.confirmed = set[str]()
        self.service = Service(scene.site)
        self.thread = threading.Thread(target=self.service.run, daemon=True)
        self.thread.start()

    def write(self, message: Message, sender: Identity | None = None, number: int = 0) -> bytes:
        who = sender or self.scene.researcher
        self.numbers[who.party] = number or self.numbers.get(who.party, 0) + 1
        envelope = seal(who, self.scene.site.identity.card, self.numbers[who.party], message)
        self.relay.deliver(envelope)
        return envelope

    def upload(self, content: bytes):
        reference, sealed = wrap(content)
        if sealed is not None:
            self.relay.put_blob(sealed, 0)
        return reference

    def read(self, kind: type[Message], who: Identity | None = None) -> list:
        cards = {self.scene.site.identity.party: self.scene.site.identity.card}
        found = []
        for envelope in list(self.relay.sent):
            try:
                found.append(open_envelope(who or self.scene.researcher, envelope, cards.get).message)
            except NotAuthenticError:
                continue
        return [it for it in found if isinstance(it, kind)]

    def until(self, what: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.thread.is_alive(), "the service ended"
            assert time.monotonic() < deadline, "nothing came"
            self.witness()
            time.sleep(0.02)

    def witness(self) -> None:
        """The partner sites confirm the checkpoints that they are sent."""
        for partner in self.scene.partners:
            for asked in self.read(WitnessRequest, partner):
                if asked.nonce not in self.confirmed:
                    self.confirmed.add(asked.nonce)
                    reply = WitnessReply(nonce=asked.nonce, checkpoint=asked.checkpoint, balance=asked.balance)
                    self.write(reply, partner, number=1)  # as one counts whose own disk was set back

    def answers_still(self) -> None:
        """Somebody else is still served."""
        eve = self.scene.other_researcher
        before = len(self.read(CatalogReply, eve))
        self.write(CatalogRequest(), eve)
        self.until(lambda: len(self.read(CatalogReply, eve)) > before)
        self.until(lambda: not self.relay.waiting)

    def refusals(self) -> list[MessageRefused]:
        with self.scene.site.engine.begin() as connection:
            return [entry for _, entry in entries(connection) if isinstance(entry, MessageRefused)]


@pytest.fixture
def running(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    relay = Relay()
    monkeypatch.setattr("datasites.service.Mailbox", lambda *_: relay)
    monkeypatch.setattr("datasites.serving.lifecycle._SHORTEST_PAUSE_SECONDS", 0.01)
    # The socket's path must be short, and pytest's folders are not.
    monkeypatch.setattr("datasites.service.wake_calls", lambda _home: iter(threading.Event().wait, True))
    made = Running(scene, relay)
    yield made
    made.service.stop()
    made.thread.join(20)
    assert not made.thread.is_alive()


def test_a_study_runs_through_the_service_and_its_real_trainer(running: Running) -> None:
    scene = running.scene
    terms = scene.terms(training={"rounds": 1}, evaluation={"models": [0, 1]})
    running.write(scene.submission(terms, initial_parameters=running.upload(INITIAL)))
    running.until(lambda: [it.status for it in running.read(StudyStatus)] == ["received", "pending"])
    request = scene.approve(scene.request(terms.digest()))
    running.write(SetupStart(study=STUDY, run=RUN, terms_digest=terms.digest()))
    running.until(lambda: bool(running.read(AdvertisementMessage)))
    running.write(scene.roster(request, running.read(AdvertisementMessage)[0].advertisement))
    for number in (1, 2):
        start = RoundStart(study=STUDY, run=RUN, round=number, model=running.upload(model()))
        running.write(start)
        running.write(start)
        running.until(lambda number=number: number in [it.round for it in running.read(MaskedUpdateMessage)])
    running.until(lambda: "done" in [it.status for it in running.read(StudyStatus)])
    assert scene.request(request.digest).status is Status.DONE
    assert len({it.vector_digest for it in running.read(MaskedUpdateMessage)}) == 2
    assert scene.count("charges") == 3
    assert scene.count("mask_keys") == 0
    assert not scene.audit().broken
    assert np.isfinite(scene.balance().training.remaining_share)


def test_a_replayed_letter_changes_nothing(running: Running) -> None:
    envelope = running.write(CatalogRequest())
    running.until(lambda: len(running.read(CatalogReply)) == 1)
    for _ in range(3):
        running.relay.deliver(envelope)
    running.answers_still()
    assert len(running.read(CatalogReply)) == 1


def test_letters_of_strangers_and_rubbish_are_dropped(running: Running, tmp_path: Path) -> None:
    stranger = Identity.create(tmp_path / "stranger", "stranger", "researcher")
    running.write(CatalogRequest(), stranger)
    running.relay.deliver(b"")
    running.relay.deliver(b"\0\x05hello")
    running.relay.deliver(running.write(CatalogRequest())[:-1])
    running.answers_still()
    assert running.read(CatalogReply, stranger) == []
    assert running.refusals() == []


def test_what_is_refused_is_logged_and_told(running: Running) -> None:
    scene = running.scene
    running.write(scene.submission(scene.terms(), loss_program="{}", initial_parameters=running.upload(INITIAL)))
    running.write(RoundStart(study=STUDY, run=RUN, round=1, model=running.upload(model())))
    running.answers_still()
    running.until(lambda: len(running.read(StudyStatus)) == 1)
    assert running.read(StudyStatus)[0].status == "refused"
    assert len(running.refusals()) == 2
    assert scene.count("requests") == 0


def test_content_that_the_relay_does_not_have_is_given_up(running: Running) -> None:
    running.write(running.scene.submission(running.scene.terms()))
    running.until(lambda: [it.status for it in running.read(StudyStatus)] == ["refused"])
    running.answers_still()


def test_a_letter_whose_refusal_would_be_too_long_to_tell_does_not_end_the_service(running: Running) -> None:
    """A field's name comes back in the reason; this one alone is longer than a reason may be."""
    scene = running.scene
    hostile = LOSS[:-1] + ',"' + "z" * 3000 + '":1}'
    running.write(scene.submission(scene.terms(), loss_program=hostile, initial_parameters=running.upload(INITIAL)))
    running.answers_still()
    assert len(running.refusals()) == 1


def test_a_letter_whose_refusal_could_not_be_shown_does_not_end_the_service(running: Running) -> None:
    """The same with a name that turns the text around it the other way."""
    scene = running.scene
    hostile = LOSS[:-1] + ',"z\u202e":1}'
    running.write(scene.submission(scene.terms(), loss_program=hostile, initial_parameters=running.upload(INITIAL)))
    running.answers_still()
    assert len(running.refusals()) == 1


def test_the_longest_goodbye_does_not_end_the_service(running: Running) -> None:
    request = running.scene.approved()
    running.write(StudyClose(study=STUDY, reason="x" * 2000))
    running.answers_still()
    assert running.scene.request(request.digest).status is Status.CLOSED
