"""The relay's database: who may use it, which requests were made already, and the letters that wait."""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from datasites.protocol.blobs import blob_digest
from datasites.protocol.identity import IdentityCard
from datasites.protocol.private_files import make_private_folder
from datasites.protocol.relay_wire import MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_LETTERS
from datasites.store.engine import open_engine
from policies.errors import ConflictError, UnavailableError
from policies.statements.schema import Digest, PartyId

MAXIMUM_LETTERS = 10_000
MAXIMUM_MAILBOX_BYTES = 1024**3
SENDERS_SHARE = 4
"""One sender may fill at most one part in so many of somebody's mailbox."""

metadata = MetaData()

members = Table(
    "members",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("signing_key", LargeBinary, nullable=False),
    Column("last_cursor", Integer, nullable=False, default=0),
)

nonces = Table(
    "nonces",
    metadata,
    Column("party", ForeignKey("members.party"), primary_key=True),
    Column("nonce", String(32), primary_key=True),
    Column("expires_at", Integer, nullable=False, index=True),
)

mail = Table(
    "mail",
    metadata,
    Column("recipient", ForeignKey("members.party"), primary_key=True),
    Column("cursor", Integer, primary_key=True),
    Column("sender", ForeignKey("members.party"), nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    UniqueConstraint("recipient", "digest"),
)
Index("mail_by_sender", mail.c.recipient, mail.c.sender, mail.c.size)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("uploader", ForeignKey("members.party"), nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("stored_at", Integer, nullable=False, index=True),
)


class RelayStore:
    """The database in `folder`; each method is one transaction, on disk when it returns, and safe from any thread."""

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.folder = folder
        self.engine = open_engine(f"sqlite:///{folder / 'relay.sqlite'}")
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    def close(self) -> None:
        """Let go of the database file."""
        self.engine.dispose()

    def admit(self, card: IdentityCard) -> None:
        """Give the holder of `card` a mailbox; admitting it again changes nothing."""
        values = {"party": card.party, "signing_key": bytes.fromhex(card.signing_key), "last_cursor": 0}
        with self.engine.begin() as connection:
            connection.execute(insert(members).values(values).on_conflict_do_nothing())

    def signing_key(self, party: PartyId) -> bytes | None:
        """The key (raw, 32 bytes) by which a member signs its requests, or None for a stranger."""
        with self.engine.begin() as connection:
            key: bytes | None = connection.execute(
                select(members.c.signing_key).where(members.c.party == party)
            ).scalar_one_or_none()
            return key

    def use_nonce(self, party: PartyId, nonce: str, expires_at: int, now: int) -> None:
        """Take a member's nonce, so that the same request is never answered twice, even after a restart.

        Raises:
            ConflictError: it was used before.
        """
        with self.engine.begin() as connection:
            connection.execute(delete(nonces).where(nonces.c.expires_at < now))
            values = {"party": party, "nonce": nonce, "expires_at": expires_at}
            if not connection.execute(insert(nonces).values(values).on_conflict_do_nothing()).rowcount:
                raise ConflictError("This request was made before; a new one needs a new nonce.")

    def deposit(self, sender: PartyId, recipient: PartyId, envelope: bytes) -> bool:
        """Put a letter into a mailbox; the same letter again changes nothing while it waits there.

        Returns False where the recipient has no mailbox here.

        Raises:
            UnavailableError: the mailbox, or this sender's share of it, is full.
        """
        digest = blob_digest(envelope)
        with self.engine.begin() as connection:
            cursor = connection.execute(
                select(members.c.last_cursor).where(members.c.party == recipient)
            ).scalar_one_or_none()
            if cursor is None:
                return False
            if _waits(connection, recipient, digest):
                return True
            _refuse_if_full(connection, sender, recipient, len(envelope))
            values: dict[str, Any] = {
                "recipient": recipient,
                "cursor": cursor + 1,
                "sender": sender,
                "size": len(envelope),
                "digest": digest,
                "envelope": envelope,
            }
            connection.execute(insert(mail).values(values))
            connection.execute(update(members).where(members.c.party == recipient).values(last_cursor=cursor + 1))
            return True

    def letters(self, recipient: PartyId, after: int) -> list[tuple[int, bytes]]:
        """The oldest letters behind cursor `after` with their cursors, as many as one reply holds."""
        waiting = (mail.c.recipient == recipient) & (mail.c.cursor > after)
        with self.engine.begin() as connection:
            sizes = connection.execute(
                select(mail.c.cursor, mail.c.size).where(waiting).order_by(mail.c.cursor).limit(MAXIMUM_BATCH_LETTERS)
            ).all()
            last, room = after, MAXIMUM_BATCH_BYTES
            for cursor, size in sizes:
                room -= size
                if room < 0:
                    break
                last = cursor
            rows = connection.execute(
                select(mail.c.cursor, mail.c.envelope).where(waiting & (mail.c.cursor <= last)).order_by(mail.c.cursor)
            ).all()
            return [(row.cursor, row.envelope) for row in rows]

    def acknowledge(self, recipient: PartyId, up_to: int) -> None:
        """Erase a member's own letters up to and including cursor `up_to`."""
        with self.engine.begin() as connection:
            connection.execute(delete(mail).where(mail.c.recipient == recipient, mail.c.cursor <= up_to))


def admit(folder: Path, card: IdentityCard) -> None:
    """What the relay's operator does with a card that somebody handed over: give its holder a mailbox."""
    store = RelayStore(folder)
    try:
        store.admit(card)
    finally:
        store.close()


def _waits(connection: Connection, recipient: PartyId, digest: Digest) -> bool:
    query = select(mail.c.cursor).where(mail.c.recipient == recipient, mail.c.digest == digest)
    return connection.execute(query).first() is not None


def _refuse_if_full(connection: Connection, sender: PartyId, recipient: PartyId, size: int) -> None:
    rows = connection.execute(
        select(mail.c.sender, func.count(), func.sum(mail.c.size))
        .where(mail.c.recipient == recipient)
        .group_by(mail.c.sender)
    ).all()
    all_letters, all_bytes = sum(row[1] for row in rows), sum(row[2] for row in rows)
    own_letters, own_bytes = next(((row[1], row[2]) for row in rows if row[0] == sender), (0, 0))
    if all_letters >= MAXIMUM_LETTERS or all_bytes + size > MAXIMUM_MAILBOX_BYTES:
        raise UnavailableError("This mailbox is full until its owner fetches its mail; try again later.")
    if own_letters >= MAXIMUM_LETTERS // SENDERS_SHARE or own_bytes + size > MAXIMUM_MAILBOX_BYTES // SENDERS_SHARE:
        raise UnavailableError("Your share of this mailbox is full until its owner fetches its mail; try again later.")
