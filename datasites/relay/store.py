"""The relay's database: who may use it, whose blobs it holds, and the letters that wait.

Plain `sqlite3`: a request of a round costs the relay a few of these statements and little else.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from datasites.protocol.blobs import blob_digest
from datasites.protocol.identity import IdentityCard
from datasites.protocol.private_files import make_private_folder
from datasites.protocol.relay_wire import FRAME_BYTES, MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_LETTERS, Fate
from datasites.relay.quotas import Quotas
from policies.statements.schema import PartyId

_BUSY_SECONDS = 60
_CURSORS_A_SECOND = 2**20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS members (
    party TEXT PRIMARY KEY, signing_key BLOB NOT NULL, last_cursor INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS mail (
    recipient TEXT NOT NULL REFERENCES members (party), cursor INTEGER NOT NULL,
    sender TEXT NOT NULL REFERENCES members (party), size INTEGER NOT NULL, digest TEXT NOT NULL,
    envelope BLOB NOT NULL, PRIMARY KEY (recipient, cursor), UNIQUE (recipient, digest));
CREATE INDEX IF NOT EXISTS mail_by_sender ON mail (recipient, sender, size);
CREATE TABLE IF NOT EXISTS blobs (
    digest TEXT PRIMARY KEY, uploader TEXT NOT NULL REFERENCES members (party), size INTEGER NOT NULL,
    stored_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS blobs_by_uploader ON blobs (uploader, stored_at, size);
CREATE INDEX IF NOT EXISTS blobs_by_age ON blobs (stored_at);
CREATE TABLE IF NOT EXISTS uploads (
    uploader TEXT NOT NULL REFERENCES members (party), digest TEXT NOT NULL, size INTEGER NOT NULL,
    begun_at INTEGER NOT NULL, PRIMARY KEY (uploader, digest));
"""


class RelayStore:
    """The database in `folder`; each method is one transaction, and safe from any thread."""

    def __init__(self, folder: Path, quotas: Quotas = Quotas()) -> None:  # noqa: B008 (frozen)
        make_private_folder(folder)
        self.folder = folder
        self.quotas = quotas
        # A letter is on disk when `deposit` returns. Erasing one may be lost in a crash: it then comes again.
        self._durable = _connect(folder, "FULL")
        self._durable.executescript(_SCHEMA)
        self._erasing = _connect(folder, "NORMAL")
        self._reading = _connect(folder, "NORMAL")
        self._writes, self._reads = threading.Lock(), threading.Lock()
        # Above all that this folder ever gave, even if it was restored from an older copy: a cursor names one letter.
        self._first_cursor = int(time.time()) * _CURSORS_A_SECOND

    def close(self) -> None:
        """Let go of the database file."""
        with self._writes, self._reads:
            for connection in (self._durable, self._erasing, self._reading):
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk at its end, and nobody else's meanwhile."""
        with self._writes, _transaction(self._durable) as connection:
            yield connection

    def admit(self, card: IdentityCard) -> None:
        """Give the holder of `card` a mailbox; admitting it again changes nothing."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO members (party, signing_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (card.party, bytes.fromhex(card.signing_key)),
            )

    def signing_key(self, party: PartyId) -> bytes | None:
        """The key (raw, 32 bytes) by which a member signs its requests, or None for a stranger."""
        with self._reads:
            row = self._reading.execute("SELECT signing_key FROM members WHERE party = ?", (party,)).fetchone()
        return None if row is None else bytes(row[0])

    def deposit(self, sender: PartyId, letters: Sequence[tuple[PartyId, bytes]]) -> list[Fate]:
        """Put letters into mailboxes, each for its recipient; the same again changes nothing while it waits there."""
        with self.writing() as connection:
            fates: list[Fate] = []
            refused: dict[PartyId, Fate] = {}
            for recipient, envelope in letters:
                # Numbers rise: behind a letter that was not taken, none to the same recipient may overtake it.
                fate = refused.get(recipient) or self._deposit(connection, sender, recipient, envelope)
                if fate is not Fate.TAKEN:
                    refused[recipient] = fate
                fates.append(fate)
            return fates

    def _deposit(self, connection: sqlite3.Connection, sender: PartyId, recipient: PartyId, envelope: bytes) -> Fate:
        member = connection.execute("SELECT last_cursor FROM members WHERE party = ?", (recipient,)).fetchone()
        if member is None:
            return Fate.NO_MAILBOX
        digest = blob_digest(envelope)
        same = "SELECT 1 FROM mail WHERE recipient = ? AND digest = ?"
        if connection.execute(same, (recipient, digest)).fetchone():
            return Fate.TAKEN
        if self._is_full(connection, sender, recipient, len(envelope)):
            return Fate.FULL
        cursor = max(member[0] + 1, self._first_cursor)
        connection.execute(
            "INSERT INTO mail (recipient, cursor, sender, size, digest, envelope) VALUES (?, ?, ?, ?, ?, ?)",
            (recipient, cursor, sender, len(envelope), digest, envelope),
        )
        connection.execute("UPDATE members SET last_cursor = ? WHERE party = ?", (cursor, recipient))
        return Fate.TAKEN

    def _is_full(self, connection: sqlite3.Connection, sender: PartyId, recipient: PartyId, size: int) -> bool:
        waiting = "SELECT count(*), coalesce(sum(size), 0) FROM mail WHERE recipient = ?"
        letters, filled = connection.execute(waiting, (recipient,)).fetchone()
        own_letters, own_filled = connection.execute(waiting + " AND sender = ?", (recipient, sender)).fetchone()
        quotas, share = self.quotas, self.quotas.senders_share
        return bool(
            letters >= quotas.mailbox_letters
            or filled + size > quotas.mailbox_bytes
            or own_letters >= quotas.mailbox_letters // share
            or own_filled + size > quotas.mailbox_bytes // share
        )

    def letters(self, recipient: PartyId, after: int) -> list[tuple[int, bytes]]:
        """The oldest letters behind cursor `after` with their cursors, as many as one reply holds."""
        found: list[tuple[int, bytes]] = []
        room = MAXIMUM_BATCH_BYTES
        with self._reads, closing(self._reading.cursor()) as rows:
            rows.execute(
                "SELECT cursor, size, envelope FROM mail WHERE recipient = ? AND cursor > ? ORDER BY cursor LIMIT ?",
                (recipient, after, MAXIMUM_BATCH_LETTERS),
            )
            for cursor, size, envelope in rows:
                room -= size + FRAME_BYTES
                if room < 0:
                    break
                found.append((cursor, envelope))
        return found

    def forget(self, recipient: PartyId, up_to: int) -> None:
        """Erase a member's own letters up to and including cursor `up_to`."""
        with self._writes:
            some = "SELECT 1 FROM mail WHERE recipient = ? AND cursor <= ?"
            if self._erasing.execute(some, (recipient, up_to)).fetchone():
                with _transaction(self._erasing) as connection:
                    connection.execute("DELETE FROM mail WHERE recipient = ? AND cursor <= ?", (recipient, up_to))


def admit(folder: Path, card: IdentityCard) -> None:
    """What the relay's operator does with a card that somebody handed over: give its holder a mailbox."""
    store = RelayStore(folder)
    try:
        store.admit(card)
    finally:
        store.close()


def _connect(folder: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        folder / "relay.sqlite", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
