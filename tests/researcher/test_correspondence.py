"""Mail that the researcher believes: signed by a pinned site, new, and kept in bounds until somebody asks for it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import researcher.correspondence
from datasites.protocol.blobs import BlobReference
from datasites.protocol.envelope import open_envelope, read_header, seal
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.messages import CatalogReply, CatalogRequest, Message, RoundRefused, StudyStatus
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import Sealed
from datasites.protocol.weight_messages import WeightsWanted
from policies.errors import InvalidInputError, NotAuthenticError, UnavailableError
from researcher.correspondence import Correspondence, Received
from researcher.state import State

STUDY, RUN = "1" * 32, "a" * 32


class Relay:
    """A relay in memory, as a `Mailbox` shows it; `down` says that it cannot be reached."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, bytes]] = []
        self.sent: list[bytes] = []
        self.blobs: dict[str, bytes] = {}
        self.down = False
        self.full: set[str] = set()
        self.requests = 0
        self.cursor = 0

    def deliver(self, envelope: bytes) -> None:
        self.cursor += 1
        self.waiting.append((self.cursor, envelope))

    def receive(self, after: int, _seconds: float) -> list[tuple[int, bytes]]:
        self.waiting = [it for it in self.waiting if it[0] > after]
        return list(self.waiting)

    def send(self, letters: Sequence[bytes]) -> list[Fate]:
        if self.down:
            raise UnavailableError("The relay cannot be reached.")
        self.requests += 1
        fates = [Fate.FULL if read_header(it).recipient in self.full else Fate.TAKEN for it in letters]
        self.sent += [it for it, fate in zip(letters, fates, strict=True) if fate is Fate.TAKEN]
        return fates

    def put_blob(self, sealed: Sealed, _seconds: float) -> None:
        self.blobs[sealed.reference.digest] = b"".join(sealed.pieces(0))

    def get_blob(self, reference: BlobReference, _seconds: float) -> Iterator[bytes]:
        yield self.blobs[reference.digest]


class Desk:
    """The researcher ada, two pinned sites, a stranger, and the relay between them."""

    def __init__(self, folder: Path) -> None:
        self.ada = Identity.create(folder / "ada", "ada", "researcher")
        self.bern, self.cadiz, self.stranger = (
            Identity.create(folder / name, name, "datasite", bytes(range(start, start + 32)))
            for start, name in enumerate(("bern", "cadiz", "stranger"))
        )
        self.state_file = folder / "state.sqlite"
        self.state = State(self.state_file)
        for site in (self.bern, self.cadiz):
            self.state.pin(site.card)
        self.relay = Relay()
        self.letters = self.open()

    def open(self) -> Correspondence:
        return Correspondence(self.ada, self.state, self.relay)

    def writes(self, sender: Identity, number: int, message: Message, to: IdentityCard | None = None) -> bytes:
        envelope = seal(sender, to or self.ada.card, number, message)
        self.relay.deliver(envelope)
        return envelope

    def collected(self) -> list[Received]:
        return self.letters.collect(lambda _card, _message: True, bool, 0) or self.letters.collect(
            lambda _card, _message: True, lambda _taken: True, 0
        )

    def status(self, site: Identity) -> tuple[str, str] | None:
        with self.state.transaction() as connection:
            row = connection.execute("SELECT status, detail FROM statuses WHERE site = ?", (site.party,)).fetchone()
        return None if row is None else (row["status"], row["detail"])

    def keeps_study(self) -> None:
        """One at bern alone."""
        terms = json.dumps({"cohort": [{"site": self.bern.party}]})
        with self.state.transaction() as connection:
            connection.execute(
                "INSERT INTO studies (study, terms, loss_program, metrics_program, source) VALUES (?, ?, '', '', '')",
                (STUDY, terms),
            )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def reply(total: int = 0) -> CatalogReply:
    return CatalogReply(data_sets=(), total=total)


def refused(number: int) -> RoundRefused:
    return RoundRefused(study=STUDY, run=RUN, round=number, reason="no")


def poll(desk: Desk) -> None:
    desk.letters.discard(lambda _card, _message: False, 1)


def test_wanted_letters_are_taken_and_others_keep_waiting(desk: Desk) -> None:
    desk.writes(desk.bern, 1, reply())
    desk.writes(desk.cadiz, 1, refused(1))
    desk.writes(desk.bern, 2, reply(1))
    poll(desk)
    poll(desk)
    assert desk.relay.waiting == []
    wanted = desk.letters.collect(lambda _card, message: isinstance(message, CatalogReply), lambda _taken: True, 0)
    assert [(card.name, message.total) for card, message in wanted] == [("bern", 0), ("bern", 1)]
    assert [message for _, message in desk.collected()] == [refused(1)]


def test_what_was_taken_is_not_taken_again(desk: Desk) -> None:
    desk.writes(desk.bern, 1, reply())
    poll(desk)
    assert len(desk.collected()) == 1
    assert desk.collected() == []


def test_forged_damaged_and_strange_letters_are_dropped_and_the_rest_is_read(desk: Desk) -> None:
    desk.writes(desk.stranger, 1, reply(1))
    genuine = desk.writes(desk.bern, 1, reply(2))
    desk.relay.waiting.pop()
    desk.relay.deliver(genuine[:-1] + bytes([genuine[-1] ^ 1]))
    desk.relay.deliver(genuine.replace(desk.bern.party.encode(), desk.cadiz.party.encode()))
    desk.relay.deliver(b"")
    desk.relay.deliver(b"\0\2{}rubbish")
    desk.writes(desk.bern, 1, reply(3), to=desk.cadiz.card)
    desk.relay.deliver(genuine)
    poll(desk)
    assert [(card.name, message.total) for card, message in desk.collected()] == [("bern", 2)]
    poll(desk)
    assert desk.relay.waiting == []


def test_replayed_and_older_letters_are_dropped_also_after_a_restart(desk: Desk) -> None:
    old = seal(desk.bern, desk.ada.card, 1, reply(1))
    new = desk.writes(desk.bern, 2, reply(2))
    poll(desk)
    desk.letters = desk.open()
    for envelope in (new, old, new):
        desk.relay.deliver(envelope)
    poll(desk)
    assert desk.collected() == []
    desk.writes(desk.bern, 9, reply(9))
    poll(desk)
    assert [message.total for _, message in desk.collected()] == [9]


def test_statuses_survive_a_restart_and_a_decision_is_not_forgotten(desk: Desk) -> None:
    desk.keeps_study()
    desk.writes(desk.bern, 1, StudyStatus(study=STUDY, status="pending", detail="Soon."))
    desk.writes(desk.bern, 2, StudyStatus(study=STUDY, status="denied", detail="No."))
    poll(desk)
    desk.letters = desk.open()
    assert desk.status(desk.bern) == ("denied", "No.")
    assert desk.status(desk.cadiz) is None
    assert desk.collected() == []


def test_the_status_of_a_study_that_nobody_asked_for_is_dropped(desk: Desk) -> None:
    desk.writes(desk.bern, 1, StudyStatus(study="2" * 32, status="approved", detail="Yes."))
    desk.writes(desk.bern, 2, reply(7))
    poll(desk)
    assert desk.status(desk.bern) is None
    assert [message.total for _, message in desk.collected()] == [7]


@pytest.mark.parametrize(
    "message",
    [
        StudyStatus(study=STUDY, status="approved", detail="Yes."),
        WeightsWanted(study=STUDY, parts=("0" * 64,)),
    ],
)
def test_a_site_outside_the_cohort_has_no_say_in_a_study(desk: Desk, message: Message) -> None:
    """It would be sent the whole study as one that lacks weights."""
    desk.keeps_study()
    desk.writes(desk.cadiz, 1, message)
    poll(desk)
    assert desk.status(desk.cadiz) is None
    desk.writes(desk.bern, 1, message)
    poll(desk)
    assert desk.status(desk.bern) is not None


def test_letters_nobody_asks_for_fill_no_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert researcher.correspondence._KEPT_OF_A_SITE <= 1_000
    for number in range(1, 41):
        desk.writes(desk.bern, number, reply(number))
    monkeypatch.setattr(researcher.correspondence, "_KEPT_OF_A_SITE", 10)
    poll(desk)
    assert [message.total for _, message in desk.collected()] == list(range(31, 41))


def test_each_letter_has_a_number_of_its_own_even_if_it_could_not_be_sent(desk: Desk) -> None:
    desk.letters.send([desk.bern.party], CatalogRequest(), 0)
    desk.relay.down = True
    with pytest.raises(UnavailableError):
        desk.letters.send([desk.bern.party], CatalogRequest(), 0)
    desk.relay.down = False
    desk.letters.send([desk.bern.party], CatalogRequest(), 0)
    desk.letters.send([desk.cadiz.party], CatalogRequest(), 0)
    pinned = {desk.ada.party: desk.ada.card}
    opened = [open_envelope(desk.bern, it, pinned.get).number for it in desk.relay.sent[:2]]
    assert opened == [1, 3]
    assert open_envelope(desk.cadiz, desk.relay.sent[2], pinned.get).number == 1


def test_content_goes_up_sealed_and_comes_down_whole(desk: Desk) -> None:
    content = b"the global model" * 100_000
    reference = desk.letters.upload(content, 0)
    (stored,) = desk.relay.blobs.values()
    assert b"global model" not in stored
    assert b"".join(desk.letters.open(reference, 2_000_000, 0)) == content
    with pytest.raises(InvalidInputError):
        list(desk.letters.open(reference, 100, 0))
    desk.relay.blobs[reference.digest] = stored[:-1] + bytes([stored[-1] ^ 1])
    with pytest.raises(NotAuthenticError):
        list(desk.letters.open(reference, 2_000_000, 0))


def test_small_content_rides_in_the_letter_and_costs_no_request(desk: Desk) -> None:
    content = desk.letters.upload(bytes(64 * 1024), 0)
    assert desk.relay.blobs == {}
    assert b"".join(desk.letters.open(content, 64 * 1024, 0)) == bytes(64 * 1024)
    with pytest.raises(InvalidInputError):
        list(desk.letters.open(content, 64 * 1024 - 1, 0))


def test_a_cohort_is_written_to_in_one_request_and_only_what_was_not_taken_is_sent_again(desk: Desk) -> None:
    both = [desk.bern.party, desk.cadiz.party]
    desk.letters.send(both, CatalogRequest(), 0)
    assert (desk.relay.requests, len(desk.relay.sent)) == (1, 2)
    desk.relay.full = {desk.cadiz.party}
    with pytest.raises(UnavailableError, match="cadiz"):
        desk.letters.send(both, CatalogRequest(), 0.6)
    assert desk.relay.requests > 2
    assert [read_header(it).recipient for it in desk.relay.sent[2:]] == [desk.bern.party]
