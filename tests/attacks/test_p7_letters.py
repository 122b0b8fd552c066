"""P7 and the neighbours, at a datasite's letter box: who may write what, how often, and every bit of a letter."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from datasites.protocol.envelope import open_envelope, read_header, seal
from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import (
    CatalogReply,
    CatalogRequest,
    MaskedUpdateMessage,
    Message,
    RoundRefused,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
)
from datasites.requests.records import Status
from datasites.serving.incoming import Incoming
from datasites.store.outbox import enqueue
from policies.errors import CloisterError
from policies.statements.digests import frame
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY, RUN, STUDY, reference

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


class LetterBox:
    """What the site's service does with each letter; `post` writes one from `sender` under the next number."""

    def __init__(self, scene: Scene) -> None:
        site = scene.site
        self._incoming = Incoming(site, Mailbox(site.identity, site.settings.relay))
        self._card = site.identity.card
        self._numbers: dict[str, int] = {}

    def post(self, sender: Identity, message: Message, number: int | None = None) -> bytes:
        last = self._numbers.get(sender.party, 0)
        self._numbers[sender.party] = last + 1 if number is None else number
        letter = seal(sender, self._card, self._numbers[sender.party], message)
        self.take(letter)
        return letter

    def take(self, letter: bytes) -> None:
        self._incoming.take(letter)


def test_every_bit_of_a_letter_counts(scene: Scene) -> None:
    """Length, header, the sealed key, the ciphertext and its tag; and no damaged one has any effect."""
    site, ada = scene.site.identity, scene.researcher
    letter = seal(ada, site.card, 1, StudyClose(study=STUDY, reason="Enough."))
    pinned = {ada.party: ada.card}
    opened = []
    for place in range(len(letter)):
        for bit in range(8):
            damaged = letter[:place] + bytes([letter[place] ^ 1 << bit]) + letter[place + 1 :]
            try:
                opened.append(open_envelope(site, damaged, pinned.get))
            except CloisterError:
                continue
    assert opened == []
    assert open_envelope(site, letter, pinned.get).number == 1


def test_a_neighbouring_site_is_shown_no_catalog(scene: Scene) -> None:
    box, neighbour = LetterBox(scene), scene.partners[0]
    box.post(neighbour, CatalogRequest())
    assert scene.letters(CatalogReply) == []
    box.post(scene.researcher, CatalogRequest())
    assert len(scene.letters(CatalogReply)) == 1


def test_a_neighbouring_site_cannot_submit_drive_or_end_a_study(scene: Scene) -> None:
    """It is pinned, it is in the cohort, it knows every name; it is not the researcher."""
    box, neighbour, request = LetterBox(scene), scene.partners[0], scene.ready()
    box.post(neighbour, scene.submission(scene.terms(OTHER_STUDY, researcher=neighbour.party)))
    box.post(neighbour, SetupStart(study=STUDY, run=RUN, terms_digest=request.digest))
    box.post(neighbour, RoundStart(study=STUDY, run=RUN, round=1, model=reference()))
    box.post(neighbour, StudyClose(study=STUDY, reason="It is mine."))
    assert scene.request(request.digest).status is Status.APPROVED
    assert scene.count("requests") == 1
    assert scene.count("rounds") == 0


def test_a_site_believes_no_message_that_only_sites_write(scene: Scene) -> None:
    """An approval, a refusal or a masked update, sent to the site itself by a pinned researcher or a neighbour."""
    request = scene.submit()
    box, update = LetterBox(scene), reference()
    forged: tuple[Message, ...] = (
        StudyStatus(study=STUDY, status="approved", detail="Go on.", decision=None),
        RoundRefused(study=STUDY, run=RUN, round=1, reason="No."),
        MaskedUpdateMessage(
            study=STUDY,
            run=RUN,
            round=1,
            round_context="0" * 64,
            vector_digest="0" * 64,
            signature="0" * 128,
            update=update,
        ),
    )
    for sender in (scene.researcher, scene.partners[0]):
        for message in forged:
            box.post(sender, message)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.audit().broken == []


def test_a_letter_taken_twice_or_late_acts_once(scene: Scene) -> None:
    """The relay delivers an old SetupStart again, after the researcher went on to another run."""
    request, box, ada = scene.approved(), LetterBox(scene), scene.researcher
    first = box.post(ada, SetupStart(study=STUDY, run=RUN, terms_digest=request.digest))
    box.post(ada, SetupStart(study=STUDY, run="c" * 32, terms_digest=request.digest))
    for _ in range(3):
        box.take(first)
    assert current_run(scene) == "c" * 32


def test_a_stranger_who_uses_up_its_own_numbers_uses_up_nobody_elses(scene: Scene) -> None:
    """The largest number there is, from Eve: her own conversation is at its end, Ada's is not."""
    request, box = scene.approved(), LetterBox(scene)
    box.post(scene.other_researcher, CatalogRequest(), number=2**53 - 1)
    box.post(scene.researcher, SetupStart(study=STUDY, run=RUN, terms_digest=request.digest))
    assert current_run(scene) == RUN


def test_a_letter_renumbered_on_its_way_does_not_open(scene: Scene) -> None:
    """The number stands outside, where the relay can write; the signature and the seal are over it."""
    request, box, ada = scene.approved(), LetterBox(scene), scene.researcher
    letter = seal(ada, scene.site.identity.card, 5, SetupStart(study=STUDY, run=RUN, terms_digest=request.digest))
    header = read_header(letter)
    for number in (1, 4, 6, 2**53 - 1):
        outside = replace_number(header.canonical(), number)
        box.take(len(outside).to_bytes(2, "big") + outside + letter[2 + len(header.canonical()) :])
    assert scene.count("runs") == 0
    box.take(letter)
    assert scene.count("runs") == 1


def test_a_researcher_who_never_fetches_answers_fills_no_disk(scene: Scene) -> None:
    """Every question is answered with a letter that waits; beyond a number of them, questions are dropped unread."""
    box, eve = LetterBox(scene), scene.other_researcher.party
    with scene.site.engine.begin() as connection:
        for _ in range(495):
            enqueue(connection, eve, CatalogReply(data_sets=(), total=0), scene.now)
    for _ in range(20):
        box.post(scene.other_researcher, CatalogRequest())
    assert scene.count("outbox") == 500
    entries = scene.count("log_entries")
    box.post(scene.other_researcher, StudyClose(study=STUDY, reason="x"))
    assert scene.count("log_entries") == entries
    box.post(scene.researcher, CatalogRequest())
    assert scene.count("outbox") == 501


def test_a_letter_that_one_site_opened_cannot_be_sealed_anew_for_its_neighbour(scene: Scene) -> None:
    """Surreptitious forwarding: the partner has Ada's genuine signature over «end this study», and passes it on."""
    request, box, partner, card = scene.approved(), LetterBox(scene), scene.partners[0], scene.site.identity.card
    letter = seal(scene.researcher, partner.card, 1, StudyClose(study=STUDY, reason="Only at this site."))
    old = read_header(letter)
    size = len(old.canonical())
    content = SUITE.decrypt(letter[2 + size :], partner.sealing, info=frame("envelope", old.canonical()))
    header = old.model_copy(update={"recipient": card.party}).canonical()
    sealing_key = X25519PublicKey.from_public_bytes(bytes.fromhex(card.sealing_key))
    forwarded = SUITE.encrypt(content, sealing_key, info=frame("envelope", header))
    box.take(len(header).to_bytes(2, "big") + header + forwarded)
    assert scene.request(request.digest).status is Status.APPROVED
    box.post(scene.researcher, StudyClose(study=STUDY, reason="Here too."))
    assert scene.request(request.digest).status is Status.CLOSED


def current_run(scene: Scene) -> str:
    with scene.site.engine.begin() as connection:
        return str(connection.exec_driver_sql("SELECT run FROM runs").scalar_one())


def replace_number(header: bytes, number: int) -> bytes:
    return header.replace(b'"number":5', b'"number":%d' % number)
