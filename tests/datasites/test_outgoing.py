"""The outbox is sent in one request, in order for each recipient, and who cannot be served holds up nobody else."""

from collections.abc import Sequence

import pytest

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import LetterContent
from datasites.protocol.envelope import EnvelopeHeader, read_header
from datasites.protocol.messages import CatalogReply, MaskedUpdateMessage, StudyStatus
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import Sealed
from datasites.serving.outgoing import Outgoing
from datasites.store.outbox import enqueue
from policies.errors import InvalidInputError, UnavailableError
from tests.one_site import Scene
from tests.one_study import RUN, STUDY
from tests.site_folder import NOW

REPLY = CatalogReply(data_sets=(), total=0)


class Relay:
    """Takes letters but for recipients in `full`, blobs but while `broken`; keeps what came, in its order."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.broken = self.down = False
        self.requests: list[list[EnvelopeHeader]] = []
        self.blobs: list[str] = []

    def send(self, letters: Sequence[bytes]) -> list[Fate]:
        if self.down:
            raise UnavailableError("The relay cannot be reached.")
        headers = [read_header(letter) for letter in letters]
        self.requests.append(headers)
        return [Fate.FULL if header.recipient in self.full else Fate.TAKEN for header in headers]

    def put_blob(self, sealed: Sealed, _seconds: float) -> None:
        if self.broken:
            raise UnavailableError("The relay stalls.")
        self.blobs.append(sealed.reference.digest)


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def outgoing(scene: Scene, relay: Relay) -> Outgoing:
    return Outgoing(scene.site, relay)


def send(outgoing: Outgoing) -> bool:
    """What the service's two threads do, one after the other; whether they sent or tried to send anything."""
    tried: list[int] = []
    with pytest.MonkeyPatch.context() as watched:
        whole = Outgoing._send
        watched.setattr(Outgoing, "_send", lambda self, letters: (tried.append(len(letters)), whole(self, letters))[1])
        for large in (False, True):
            assert not outgoing.send_waiting(large=large)
    return any(tried)


def write(scene: Scene, *recipients: str) -> None:
    with scene.site.engine.begin() as connection:
        for recipient in recipients:
            enqueue(connection, recipient, REPLY, NOW)


def write_update(scene: Scene, recipient: str) -> None:
    with scene.site.contents.enclosed((bytes(100_000),), 100_000) as content:
        _write_update(scene, recipient, content)


def _write_update(scene: Scene, recipient: str, content: LetterContent | BlobReference) -> None:
    assert isinstance(content, BlobReference)
    message = MaskedUpdateMessage(
        study=STUDY, run=RUN, round=1, round_context="0" * 64, vector_digest="0" * 64, signature="0" * 128,
        update=content,
    )  # fmt: skip
    with scene.site.engine.begin() as connection:
        enqueue(connection, recipient, message, NOW, content.digest)


def test_one_request_carries_all_that_waits(scene: Scene, relay: Relay, outgoing: Outgoing) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    write(scene, ada, eve, ada)
    assert send(outgoing)
    assert [[(it.recipient, it.number) for it in request] for request in relay.requests] == [
        [(ada, 1), (eve, 1), (ada, 2)]
    ]
    assert not send(outgoing)
    assert scene.count("outbox") == 0
    assert outgoing.seconds_to_next_try() is None


def test_only_who_cannot_be_served_rests_and_is_tried_again_after_a_growing_pause(
    scene: Scene, relay: Relay, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    clock = [1000.0]
    monkeypatch.setattr("datasites.serving.lifecycle.time.monotonic", lambda: clock[0])
    relay.full = {ada}
    write(scene, ada, eve, ada)
    assert send(outgoing)
    assert scene.count("outbox") == 2
    assert outgoing.seconds_to_next_try() == 0.5
    write(scene, eve)
    assert send(outgoing)
    assert {it.recipient for it in relay.requests[-1]} == {eve}
    assert not send(outgoing), "ada rests"
    clock[0] += 0.6
    assert send(outgoing)
    assert outgoing.seconds_to_next_try() == 1.0
    relay.full = set()
    clock[0] += 1.1
    assert send(outgoing)
    assert [it.number for it in relay.requests[-1]] == [1, 2]
    assert scene.count("outbox") == 0
    assert outgoing.seconds_to_next_try() is None


def test_content_goes_before_its_letter_and_nobody_else_waits_for_it(
    scene: Scene, relay: Relay, outgoing: Outgoing
) -> None:
    ada, eve = scene.researcher.party, scene.other_researcher.party
    relay.broken = True
    write_update(scene, ada)
    write(scene, ada, eve)
    assert send(outgoing)
    assert [[it.recipient for it in request] for request in relay.requests] == [[eve]]
    assert scene.count("outbox") == 2, "the letter behind the content must not overtake it"
    relay.broken = False
    outgoing._pauses.clear()
    assert send(outgoing)
    assert len(relay.blobs) == 1
    assert [it.number for it in relay.requests[-1]] == [1, 2]


def test_a_letter_that_can_never_be_sent_is_given_up_and_the_next_goes(
    scene: Scene, relay: Relay, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = scene.researcher.party
    with scene.site.engine.begin() as connection:
        detail = "a" * 2000
        enqueue(connection, ada, StudyStatus(study=STUDY, status="pending", detail=detail), NOW)
    write(scene, ada)
    monkeypatch.setattr("datasites.protocol.envelope.MAXIMUM_MESSAGE_BYTES", 1000)
    assert send(outgoing)
    assert "was given up: This study-status has" in capsys.readouterr().err
    assert [it.number for it in relay.requests[-1]] == [2]
    assert scene.count("outbox") == 0
    with pytest.raises(InvalidInputError):
        write(scene, "f" * 64)


def test_a_relay_that_is_down_loses_nothing(scene: Scene, relay: Relay, outgoing: Outgoing) -> None:
    relay.down = True
    write(scene, scene.researcher.party, scene.other_researcher.party)
    assert send(outgoing)
    assert not send(outgoing)
    assert scene.count("outbox") == 2


def test_a_letter_passed_over_because_its_recipient_is_served_is_looked_at_again(
    scene: Scene, relay: Relay, outgoing: Outgoing
) -> None:
    """Its own thread looked while the other one uploaded, and nobody else would wake it."""
    ada = scene.researcher.party
    write_update(scene, ada)
    looked: list[bool] = []
    upload = relay.put_blob

    def meanwhile(sealed: Sealed, seconds: float) -> None:
        write(scene, ada)
        looked.append(outgoing.send_waiting(large=False))
        upload(sealed, seconds)

    relay.put_blob = meanwhile  # type: ignore[method-assign]
    assert outgoing.send_waiting(large=True), "somebody must look again"
    assert looked == [False]
    assert [[it.number for it in request] for request in relay.requests] == [[1]]
    assert not outgoing.send_waiting(large=False)
    assert [it.number for it in relay.requests[-1]] == [2]
