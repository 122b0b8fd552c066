"""Mailboxes and blobs stay within their bounds, and nobody's share crowds out another's."""

from pathlib import Path

import pytest

from datasites.protocol.blobs import blob_digest
from datasites.protocol.identity import Identity
from datasites.relay import blob_folder, store
from datasites.relay.blob_folder import BlobFolder
from datasites.relay.store import RelayStore
from policies.errors import ConflictError, InvalidInputError, UnavailableError


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


def test_one_sender_fills_only_its_share(
    relay_store: RelayStore, parties: list[Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAXIMUM_LETTERS", 8)
    ada, bob, eve = (identity.party for identity in parties)
    assert relay_store.deposit(eve, bob, b"1")
    assert relay_store.deposit(eve, bob, b"2")
    assert relay_store.deposit(eve, bob, b"2")
    with pytest.raises(UnavailableError, match="share"):
        relay_store.deposit(eve, bob, b"3")
    assert relay_store.deposit(ada, bob, b"4")
    relay_store.acknowledge(bob, 2)
    assert relay_store.deposit(eve, bob, b"3")
    assert [letter for _, letter in relay_store.letters(bob, 0)] == [b"4", b"3"]


def test_bytes_count_too(relay_store: RelayStore, parties: list[Identity], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAXIMUM_MAILBOX_BYTES", 40)
    monkeypatch.setattr(store, "SENDERS_SHARE", 2)
    ada, bob, eve = (identity.party for identity in parties)
    relay_store.deposit(eve, bob, bytes(15))
    with pytest.raises(UnavailableError, match="share"):
        relay_store.deposit(eve, bob, bytes(6))
    relay_store.deposit(ada, bob, bytes(20))
    with pytest.raises(UnavailableError, match="full until"):
        relay_store.deposit(bob, bob, bytes(6))


def test_cursors_are_never_used_again(relay_store: RelayStore, parties: list[Identity]) -> None:
    ada, bob, eve = (identity.party for identity in parties)
    relay_store.deposit(ada, bob, b"1")
    relay_store.acknowledge(bob, 1)
    relay_store.deposit(ada, eve, b"a neighbour's mail does not move bob's cursor")
    relay_store.deposit(ada, bob, b"2")
    assert relay_store.letters(bob, 0) == [(2, b"2")]
    assert not relay_store.deposit(ada, "0" * 64, b"for nobody")


def test_a_batch_is_bounded_in_bytes(
    relay_store: RelayStore, parties: list[Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAXIMUM_BATCH_BYTES", 100)
    ada, bob, _ = (identity.party for identity in parties)
    for content in (b"a", b"b", b"c"):
        relay_store.deposit(ada, bob, content * 40)
    assert [cursor for cursor, _ in relay_store.letters(bob, 0)] == [1, 2]
    assert [cursor for cursor, _ in relay_store.letters(bob, 2)] == [3]


def test_nonces_count_once_until_they_expire(relay_store: RelayStore, parties: list[Identity], tmp_path: Path) -> None:
    ada, bob, _ = (identity.party for identity in parties)
    relay_store.use_nonce(ada, "00" * 16, expires_at=110, now=100)
    relay_store.use_nonce(bob, "00" * 16, expires_at=110, now=100)
    reopened = RelayStore(tmp_path / "relay")
    with pytest.raises(ConflictError):
        reopened.use_nonce(ada, "00" * 16, expires_at=120, now=110)
    reopened.use_nonce(ada, "00" * 16, expires_at=120, now=111)


def put(folder: BlobFolder, uploader: str, content: bytes, now: int) -> str:
    digest = blob_digest(content)
    with folder.upload(uploader, digest) as upload:
        upload.write(content)
        upload.finish(now)
    return digest


def test_blobs_age_out_and_a_member_only_crowds_out_itself(
    relay_store: RelayStore, parties: list[Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_folder, "MAXIMUM_MEMBER_BYTES", 100)
    folder = BlobFolder(relay_store)
    ada, bob, _ = (identity.party for identity in parties)
    old = put(folder, bob, b"b" * 90, 0)
    first = put(folder, ada, b"1" * 50, 1)
    second = put(folder, ada, b"2" * 50, 2)
    assert put(folder, ada, b"1" * 50, 3) == first
    third = put(folder, ada, b"3" * 50, 4)
    assert [folder.path(digest) is not None for digest in (old, first, second, third)] == [True, True, False, True]
    put(folder, ada, b"4", blob_folder.KEPT_SECONDS + 3)
    assert [folder.path(digest) is not None for digest in (old, first, third)] == [False, False, True]


def test_a_wrong_or_broken_upload_leaves_nothing(
    relay_store: RelayStore, parties: list[Identity], tmp_path: Path
) -> None:
    folder = BlobFolder(relay_store)
    with folder.upload(parties[0].party, "0" * 64) as upload:
        upload.write(b"other")
        with pytest.raises(InvalidInputError):
            upload.finish(0)
    with folder.upload(parties[0].party, blob_digest(b"x")) as upload:
        upload.write(b"x")
    assert list((tmp_path / "relay" / "blobs").iterdir()) == []
    assert folder.path(blob_digest(b"x")) is None
