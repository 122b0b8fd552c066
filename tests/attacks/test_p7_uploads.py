"""P7, uploads turned against others: another's share, another's partial content, everybody's thread and lock."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datasites.protocol.blobs import blob_digest
from datasites.protocol.relay_wire import Fate
from datasites.relay import blob_folder
from datasites.relay.blob_folder import BlobFolder
from datasites.relay.quotas import Quotas
from datasites.relay.store import RelayStore
from datasites.relay.upload import Upload
from policies.errors import ConflictError, InvalidInputError, UnavailableError

ADA, EVE = "a" * 64, "e" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RelayStore]:
    store = RelayStore(tmp_path / "relay", replace(Quotas(), blob_bytes=100, uploads=2))
    with store.writing() as connection:
        for party in (ADA, EVE):
            connection.execute("INSERT INTO members (party, signing_key) VALUES (?, ?)", (party, bytes(32)))
    yield store
    store.close()


@pytest.fixture
def folder(store: RelayStore) -> BlobFolder:
    return BlobFolder(store)


def begin(folder: BlobFolder, party: str, content: bytes, now: int, offset: int = 0) -> Upload:
    upload = folder.upload(party, blob_digest(content), offset, len(content), now)
    while upload.take_up():
        pass
    return upload


def put(folder: BlobFolder, party: str, content: bytes, now: int) -> str:
    upload = begin(folder, party, content, now)
    upload.write(content)
    assert upload.finish()
    folder.keep(party, upload, now)
    folder.leave(party, upload)
    return upload.digest


def is_stored(folder: BlobFolder, digest: str) -> bool:
    file = folder.open(digest)
    if file is not None:
        file.close()
    return file is not None


def test_nobody_keeps_anothers_old_content_alive_so_that_its_new_content_goes(folder: BlobFolder) -> None:
    """Eve was sent Ada's old content; she asks for it as if to store it, or stores it, as often as she likes."""
    old, new = b"o" * 50, b"n" * 50
    put(folder, ADA, old, 1)
    put(folder, ADA, new, 2)
    assert folder.received(EVE, blob_digest(old), 50, 3) == 50
    put(folder, EVE, old, 4)
    put(folder, ADA, b"x" * 50, 5)
    assert is_stored(folder, blob_digest(new)), "the oldest of its own made room"
    assert not is_stored(folder, blob_digest(old))
    put(folder, ADA, old, 6)
    for day in range(40):
        folder.received(EVE, blob_digest(old), 50, 6 + 24 * 3600 * day)
    put(folder, EVE, b"y", 7 + blob_folder.KEPT_SECONDS)
    assert not is_stored(folder, blob_digest(old)), "after a month it goes, whoever asked for it"


def test_the_relay_never_says_that_it_has_what_made_room_for_something_that_did_not_come(folder: BlobFolder) -> None:
    """The file is removed, and what follows fails: the database takes the removal of its row back."""
    content = b"o" * 60
    digest = put(folder, ADA, content, 1)
    with pytest.raises(ConflictError):
        folder.upload(ADA, "0" * 64, 7, 60, 2)
    assert is_stored(folder, digest) == (folder.received(ADA, digest, 60, 3) == 60)
    assert put(folder, ADA, content, 4) == digest
    assert is_stored(folder, digest)


def test_anothers_begun_upload_can_be_neither_continued_nor_spoilt_nor_seen(folder: BlobFolder) -> None:
    content = b"c" * 40
    upload = begin(folder, ADA, content, 1)
    upload.write(content[:20])
    assert folder.received(EVE, upload.digest, 40, 1) == 0
    with pytest.raises(ConflictError):
        folder.upload(EVE, upload.digest, 20, 40, 1)
    wrong = begin(folder, EVE, content, 1)
    wrong.write(b"w" * 40)
    with pytest.raises(InvalidInputError):
        wrong.finish()
    folder.give_up(EVE, wrong)
    upload.write(content[20:])
    assert upload.finish()
    folder.keep(ADA, upload, 2)
    assert is_stored(folder, upload.digest)


def test_lies_about_size_and_digest_leave_no_bytes_however_often(folder: BlobFolder, store: RelayStore) -> None:
    for number in range(50):
        upload = folder.upload(EVE, f"{number:064x}", 0, 100, 1)
        upload.write(bytes(100))
        with pytest.raises(InvalidInputError, match="digest"):
            upload.finish()
        folder.give_up(EVE, upload)
    honest = begin(folder, EVE, b"h" * 90, 1)
    honest.write(b"h" * 80)
    folder.leave(EVE, honest)
    for size, offset in ((70, 80), (90, 0), (90, 79), (90, 81), (80, 90)):
        with pytest.raises((ConflictError, UnavailableError)):
            folder.upload(EVE, honest.digest, offset, size, 1)
    with pytest.raises(UnavailableError, match="no room"):
        folder.upload(EVE, "f" * 64, 0, 11, 1)
    assert sum(path.stat().st_size for path in (store.folder / "blobs").iterdir()) == 80


def test_a_disk_that_makes_one_member_wait_makes_nobody_else_wait(folder: BlobFolder, store: RelayStore) -> None:
    """Eve's first connection waits for the disk, and her second one, which ends it, for the first."""
    first = begin(folder, EVE, b"e" * 50, 1)
    second = threading.Thread(target=lambda: folder.upload(EVE, first.digest, 0, 50, 1))
    with first._lock:  # as while its bytes are written, hashed or synced
        second.start()
        time.sleep(0.3)
        done: list[list[Fate]] = []
        letter = threading.Thread(target=lambda: done.append(store.deposit(ADA, [(EVE, b"letter")])), daemon=True)
        letter.start()
        letter.join(10)
        assert done == [[Fate.TAKEN]]
    second.join(10)
    with pytest.raises(ConflictError):
        first.write(b"late")


def test_going_on_with_a_long_upload_takes_a_thread_only_for_a_moment_at_a_time(tmp_path: Path) -> None:
    """For one byte more the relay must hash all that came: gigabytes, for which a file thread was everybody's."""
    (tmp_path / "part").write_bytes(b"")
    os.truncate(tmp_path / "part", 64 * 2**20)
    upload = Upload(tmp_path / "part", "0" * 64, 64 * 2**20 + 1)
    turns = 0
    while upload.take_up():
        turns += 1
    assert turns >= 16
    ended = Upload(tmp_path / "part", "0" * 64, 64 * 2**20 + 1)
    assert ended.take_up()
    ended.close()
    with pytest.raises(ConflictError):
        ended.take_up()
    upload.close()
