"""Mailboxes and blobs stay within their bounds, and nobody's share crowds out another's."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from datasites.protocol.blobs import blob_digest
from datasites.protocol.identity import Identity
from datasites.protocol.relay_wire import Fate
from datasites.relay import blob_folder
from datasites.relay.blob_folder import BlobFolder
from datasites.relay.quotas import Quotas
from datasites.relay.store import RelayStore
from policies.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError


@pytest.fixture
def parties(tmp_path: Path) -> list[Identity]:
    return [Identity.create(tmp_path / name, name, "researcher") for name in ("ada", "bob", "eve")]


@pytest.fixture
def relay_store(tmp_path: Path, parties: list[Identity]) -> RelayStore:
    relay_store = RelayStore(tmp_path / "relay")
    for party in parties:
        relay_store.admit(party.card)
        relay_store.admit(party.card)
    return relay_store


def with_quotas(relay_store: RelayStore, **changes: int) -> RelayStore:
    return RelayStore(relay_store.folder, replace(Quotas(), **changes))


def test_one_sender_fills_only_its_share(relay_store: RelayStore, parties: list[Identity]) -> None:
    small = with_quotas(relay_store, mailbox_letters=8)
    ada, bob, eve = (identity.party for identity in parties)
    assert small.deposit(eve, [(bob, b"1"), (bob, b"2")]) == [Fate.TAKEN, Fate.TAKEN]
    assert small.deposit(eve, [(bob, b"2"), (bob, b"3"), (ada, b"3")]) == [Fate.TAKEN, Fate.FULL, Fate.TAKEN]
    assert small.deposit(ada, [(bob, b"4")]) == [Fate.TAKEN]
    small.forget(bob, small.letters(bob, 0)[1][0])
    assert small.deposit(eve, [(bob, b"3")]) == [Fate.TAKEN]
    assert [letter for _, letter in small.letters(bob, 0)] == [b"4", b"3"]


def test_bytes_count_too_and_no_letter_overtakes_one_that_found_no_room(
    relay_store: RelayStore, parties: list[Identity]
) -> None:
    small = with_quotas(relay_store, mailbox_bytes=40, senders_share=2)
    ada, bob, eve = (identity.party for identity in parties)
    small.deposit(eve, [(bob, bytes(15))])
    assert small.deposit(eve, [(bob, bytes(6)), (bob, b"small")]) == [Fate.FULL, Fate.FULL]
    small.deposit(ada, [(bob, bytes(20))])
    assert small.deposit(bob, [(bob, bytes(6))]) == [Fate.FULL]
    assert small.deposit(ada, [("0" * 64, b"for nobody"), (eve, b"x")]) == [Fate.NO_MAILBOX, Fate.TAKEN]


def test_cursors_are_never_used_again_even_by_a_database_restored_from_an_older_copy(
    relay_store: RelayStore, parties: list[Identity], tmp_path: Path
) -> None:
    ada, bob, eve = (identity.party for identity in parties)
    relay_store.deposit(ada, [(bob, b"1")])
    relay_store.close()
    shutil.copytree(tmp_path / "relay", tmp_path / "older")
    later = RelayStore(tmp_path / "relay")
    later.deposit(ada, [(bob, bytes([number])) for number in range(60, 108)])
    later.deposit(ada, [(eve, b"a neighbour's mail does not move bob's cursor")])
    used = [cursor for cursor, _ in later.letters(bob, 0)]
    assert len(set(used)) == 49
    time.sleep(1.1)
    restored = RelayStore(tmp_path / "older")
    restored.forget(bob, used[-1])
    restored.deposit(ada, [(bob, b"new")])
    assert [letter for _, letter in restored.letters(bob, used[-1])] == [b"new"]


def test_a_batch_is_bounded_in_bytes(relay_store: RelayStore, parties: list[Identity]) -> None:
    ada, bob, _ = (identity.party for identity in parties)
    relay_store.deposit(ada, [(bob, content * 800_000) for content in (b"a", b"b", b"c")])
    first = relay_store.letters(bob, 0)
    assert [letter[:1] for _, letter in first] == [b"a", b"b"]
    assert [letter[:1] for _, letter in relay_store.letters(bob, first[-1][0])] == [b"c"]


def put(folder: BlobFolder, uploader: str, content: bytes, now: int, offset: int = 0) -> str:
    digest = blob_digest(content)
    upload = folder.upload(uploader, digest, offset, len(content), now)
    while upload.take_up():
        pass
    upload.write(content[offset:])
    assert upload.finish()
    folder.keep(uploader, upload, now)
    folder.leave(uploader, upload)
    return digest


def stored(folder: BlobFolder, *digests: str) -> list[bool]:
    found = [folder.open(digest) for digest in digests]
    for file in found:
        if file is not None:
            file.close()
    return [file is not None for file in found]


def test_blobs_age_out_and_a_member_only_crowds_out_itself(relay_store: RelayStore, parties: list[Identity]) -> None:
    folder = BlobFolder(with_quotas(relay_store, blob_bytes=100))
    ada, bob, _ = (identity.party for identity in parties)
    old = put(folder, bob, b"b" * 90, 0)
    first = put(folder, ada, b"1" * 50, 1)
    second = put(folder, ada, b"2" * 50, 2)
    assert folder.received(ada, first, 50, 3) == 50
    third = put(folder, ada, b"3" * 50, 4)
    assert stored(folder, old, first, second, third) == [True, True, False, True]
    put(folder, ada, b"4", blob_folder.KEPT_SECONDS + 3)
    assert stored(folder, old, first, third) == [False, False, True]
    with pytest.raises(RefusedError, match="more than"):
        folder.received(ada, "0" * 64, 101, 5)


def test_begun_uploads_count_are_bounded_and_expire(relay_store: RelayStore, parties: list[Identity]) -> None:
    folder = BlobFolder(with_quotas(relay_store, blob_bytes=100, uploads=2))
    ada, bob, _ = (identity.party for identity in parties)
    for content in (b"1", b"2"):
        upload = folder.upload(ada, blob_digest(content * 40), 0, 40, 10)
        upload.write(content * 20)
        folder.leave(ada, upload)
    for size in (30, 5):
        with pytest.raises(UnavailableError, match="begun uploads"):
            folder.upload(ada, "0" * 64, 0, size, 11)
    assert folder.received(ada, blob_digest(b"1" * 40), 40, 11) == 20
    assert folder.received(bob, blob_digest(b"1" * 40), 40, 11) == 0, "only the uploader may continue"
    reopened = BlobFolder(with_quotas(relay_store, blob_bytes=100, uploads=2))
    put(reopened, ada, b"1" * 40, 12, offset=20)
    put(reopened, ada, b"3" * 40, 12 + blob_folder.UPLOAD_KEPT_SECONDS)
    names = {path.name for path in (relay_store.folder / "blobs").iterdir()}
    assert names == {blob_digest(b"1" * 40), blob_digest(b"3" * 40)}


def test_an_upload_killed_between_its_last_byte_and_its_row_is_stored_when_it_is_asked_for(
    relay_store: RelayStore, parties: list[Identity]
) -> None:
    folder, ada = BlobFolder(relay_store), parties[0].party
    whole, wrong = blob_digest(b"whole"), blob_digest(b"another")
    for digest in (whole, wrong):
        folder.upload(ada, digest, 0, 5, 0).write(b"whole")
    after_the_kill = BlobFolder(relay_store)
    assert after_the_kill.received(ada, whole, 5, 1) == 5
    assert after_the_kill.received(ada, wrong, 5, 1) == 0
    assert stored(after_the_kill, whole, wrong) == [True, False]
    assert {path.name for path in (relay_store.folder / "blobs").iterdir()} == {whole}


def test_a_blob_whose_removal_was_killed_halfway_is_not_said_to_be_there(
    relay_store: RelayStore, parties: list[Identity]
) -> None:
    ada = parties[0].party
    digest = put(BlobFolder(relay_store), ada, b"content", 0)
    (relay_store.folder / "blobs" / digest).unlink()
    after_the_kill = BlobFolder(relay_store)
    assert after_the_kill.received(ada, digest, 7, 1) == 0
    assert put(after_the_kill, ada, b"content", 2) == digest
    assert stored(after_the_kill, digest) == [True]


def test_a_wrong_upload_leaves_nothing_and_a_second_one_ends_the_first(
    relay_store: RelayStore, parties: list[Identity], tmp_path: Path
) -> None:
    folder = BlobFolder(relay_store)
    ada = parties[0].party
    wrong = folder.upload(ada, "0" * 64, 0, 5, 0)
    wrong.write(b"other")
    with pytest.raises(InvalidInputError):
        wrong.finish()
    folder.give_up(ada, wrong)
    assert list((tmp_path / "relay" / "blobs").iterdir()) == []
    hanging = folder.upload(ada, blob_digest(b"content"), 0, 7, 0)
    hanging.write(b"con")
    with pytest.raises(InvalidInputError, match="announced"):
        hanging.write(b"tents")
    with pytest.raises(ConflictError, match="how much"):
        folder.upload(ada, blob_digest(b"content"), 2, 7, 0)
    next_one = folder.upload(ada, blob_digest(b"content"), 3, 7, 0)
    assert [next_one.take_up(), next_one.take_up()] == [True, False]
    with pytest.raises(ConflictError, match="goes on"):
        hanging.write(b"tent")
    folder.leave(ada, hanging)
    next_one.write(b"tent")
    assert next_one.finish()
    folder.keep(ada, next_one, 0)
    assert stored(folder, blob_digest(b"content")) == [True]
