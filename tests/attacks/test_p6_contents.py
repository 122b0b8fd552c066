"""P6 and the disk: content that a letter brings can neither stop a site, nor fill it, nor be exchanged in use."""

import os
import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import LetterContent, in_letter, wrap
from datasites.protocol.envelope import read_header
from datasites.protocol.identity import Identity
from datasites.protocol.messages import (
    CatalogReply,
    MaskedUpdateMessage,
    Message,
    RoundStart,
    StudyStatus,
)
from datasites.protocol.relay_wire import Fate
from datasites.protocol.sealed import Sealed, SealedMemory
from datasites.serving.incoming import Incoming
from datasites.serving.outgoing import Outgoing
from datasites.store.contents import ContentFolder
from datasites.store.outbox import enqueue
from policies.errors import NotAuthenticError, UnavailableError
from policies.statements.canonical import canonical_bytes, parse_json
from tests.fuzz.seeds import sealed
from tests.one_site import Scene, new_scene
from tests.one_study import INITIAL, RUN, STUDY, model, whole

LARGE = bytes(200_000)


class Relay:
    """Holds what was put there, and takes every letter."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.letters: list[bytes] = []

    def get_blob(self, reference: BlobReference, _seconds: float) -> Iterator[bytes]:
        if reference.digest not in self.blobs:
            raise UnavailableError("The relay does not have this content.")
        yield self.blobs[reference.digest]

    def put_blob(self, content: Sealed, _seconds: float) -> None:
        self.blobs[content.reference.digest] = b"".join(content.pieces(0))

    def send(self, letters: Sequence[bytes]) -> list[Fate]:
        self.letters += letters
        return [Fate.TAKEN] * len(letters)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


@pytest.fixture
def relay() -> Relay:
    return Relay()


def post(scene: Scene, relay: Relay, number: int, message: Message | bytes, sender: Identity | None = None) -> None:
    payload = message if isinstance(message, bytes) else message.canonical()
    letter = sealed(sender or scene.researcher, scene.site.identity.card, number, payload)
    Incoming(scene.site, relay).take(letter)  # type: ignore[arg-type]  # of a mailbox it uses `get_blob` alone


def files(scene: Scene) -> list[Path]:
    return list((scene.site.home.folder / "contents").iterdir())


def kept_bytes(scene: Scene) -> int:
    return sum(path.stat().st_size for path in files(scene))


@pytest.mark.parametrize("text", ["====", "A===", "AAAA====", "AB=C", "=AAA", "AAA", "AAAA\n", "AA=="])
def test_no_spelling_of_content_stops_a_site(scene: Scene, relay: Relay, text: str) -> None:
    """Whatever stands for base64, its letter is dropped or refused, and the next one is taken."""
    message = scene.submission(scene.terms(), initial_parameters=in_letter((INITIAL,), len(INITIAL)))
    fields = parse_json(message.canonical(), maximum_bytes=1 << 20, what="It")
    fields["initial_parameters"]["content"] = text
    post(scene, relay, 1, canonical_bytes(fields))
    post(scene, relay, 2, message)
    *_, status = scene.letters(StudyStatus)
    assert isinstance(status, StudyStatus)
    assert status.status == "received"


@pytest.mark.parametrize("text", ["====", "A===", "AAAA====", "AAAA=AAA", "AA==AA=="])
def test_content_never_claims_a_size_that_it_has_not(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        LetterContent(content=text)


def test_submissions_that_are_refused_leave_nothing_on_the_disk(scene: Scene, relay: Relay) -> None:
    """One upload, referred to in letter after letter: each is refused, since its terms name another digest."""
    reference, content = wrap(LARGE)
    assert content is not None
    relay.put_blob(content, 0)
    before = kept_bytes(scene)
    for number in range(1, 21):
        changes = {"initial_parameters": reference, "parameter_parts": whole(LARGE)}
        post(scene, relay, number, scene.submission(scene.terms(f"{number:032x}"), **changes))
    assert len(scene.letters(StudyStatus)) == 20
    assert scene.count("requests") == 0
    assert kept_bytes(scene) == before


def test_a_round_asked_again_and_again_leaves_one_model_on_the_disk(scene: Scene, relay: Relay) -> None:
    scene.ready()
    ask = RoundStart(study=STUDY, run=RUN, round=1, model=in_letter((model(),), len(model())))
    counts = set()
    for number in range(1, 12):
        post(scene, relay, number, ask)
        counts.add(len(files(scene)))
    assert scene.count("rounds") == 1
    assert len(counts) == 1


def test_content_that_was_sent_does_not_stay(scene: Scene, relay: Relay) -> None:
    outgoing = Outgoing(scene.site, relay)  # type: ignore[arg-type]
    before = kept_bytes(scene)
    for _ in range(10):
        with scene.site.contents.enclosed((LARGE,), len(LARGE)) as content, scene.site.engine.begin() as connection:
            assert isinstance(content, BlobReference)
            enqueue(connection, scene.researcher.party, update_of(content), scene.now, content.digest)
    assert kept_bytes(scene) > before + 10 * len(LARGE)
    outgoing.send_waiting(large=True)
    assert kept_bytes(scene) == before


def test_a_file_that_is_gone_stops_no_other_letter(scene: Scene, relay: Relay) -> None:
    outgoing = Outgoing(scene.site, relay)  # type: ignore[arg-type]
    gone = SealedMemory(LARGE).reference
    with scene.site.engine.begin() as connection:
        enqueue(connection, scene.researcher.party, update_of(gone), scene.now, gone.digest)
        enqueue(connection, scene.researcher.party, CatalogReply(data_sets=(), total=0), scene.now)
    outgoing.send_waiting(large=True)
    assert [read_header(letter).recipient for letter in relay.letters] == [scene.researcher.party]
    assert scene.count("outbox") == 0


def test_a_full_disk_refuses_content_and_keeps_no_half_of_it(scene: Scene, relay: Relay) -> None:
    before = files(scene)
    with largest_file(100_000):
        with pytest.raises(UnavailableError), scene.site.contents.saved((LARGE,), "x", len(LARGE)):
            pass
        with pytest.raises(UnavailableError), scene.site.contents.enclosed((LARGE,), len(LARGE)):
            pass
        assert files(scene) == before
    post(scene, relay, 1, scene.submission(scene.terms(), initial_parameters=in_letter((INITIAL,), len(INITIAL))))
    assert scene.count("requests") == 1


@pytest.mark.parametrize("change", ["a byte", "the end"])
def test_a_file_changed_while_it_is_used_is_never_handed_on_whole(tmp_path: Path, change: str) -> None:
    """Whoever writes into it between the check and the use: the last piece is held back, so that no round begins."""
    contents, whole = ContentFolder(tmp_path / "contents"), os.urandom(3 << 20)
    with contents.saved((whole,), "a-model", len(whole)) as file:
        path = tmp_path / "contents" / file.name
        assert b"".join(contents.checked(file, "a-model")) == whole
        pieces = contents.checked(file, "a-model")
        got = len(next(pieces))
        if change == "a byte":
            write(path, len(whole) - 1, bytes([whole[-1] ^ 1]))
        else:
            os.truncate(path, 2 << 20)
        with pytest.raises(NotAuthenticError):
            got += sum(map(len, pieces))
        assert got < len(whole)
        assert not contents.holds(file, "a-model")


def test_a_file_is_swept_neither_while_it_is_written_nor_while_its_row_is(tmp_path: Path) -> None:
    contents, stop = ContentFolder(tmp_path / "contents"), threading.Event()
    rows: set[str] = set()

    def sweep() -> None:
        while not stop.is_set():
            contents.sweep(lambda: set(rows))

    sweeping = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in sweeping:
        thread.start()
    try:
        for _ in range(15):
            with contents.saved((b"a", b"b"), "x", 2) as file:
                assert contents.holds(file, "x")
                rows.add(file.name)
            with contents.enclosed((LARGE,), len(LARGE)) as reference:
                assert isinstance(reference, BlobReference)
                assert len(b"".join(contents.sealed_file(reference).pieces(0))) == reference.sealed_size
                rows.add(reference.digest)
    finally:
        stop.set()
        for thread in sweeping:
            thread.join()
    contents.sweep(lambda: rows)
    assert {path.name for path in (tmp_path / "contents").iterdir()} == rows


def test_a_link_put_into_the_folder_is_removed_and_what_it_points_to_stays(tmp_path: Path) -> None:
    contents, treasure = ContentFolder(tmp_path / "contents"), tmp_path / "treasure"
    treasure.write_bytes(b"ledger")
    (tmp_path / "contents" / "link").symlink_to(treasure)
    contents.sweep(set)
    assert list((tmp_path / "contents").iterdir()) == []
    assert treasure.read_bytes() == b"ledger"


def write(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def update_of(reference: BlobReference) -> MaskedUpdateMessage:
    return MaskedUpdateMessage(
        study=STUDY,
        run=RUN,
        round=1,
        round_context="0" * 64,
        vector_digest="0" * 64,
        signature="0" * 128,
        update=reference,
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
