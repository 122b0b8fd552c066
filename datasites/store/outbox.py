"""The outbox: messages written in the same transaction as the change they tell of, sent until the relay has them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from datasites.protocol.messages import Message, parse_message
from datasites.store.peers import next_number
from datasites.store.tables import outbox


@dataclass(frozen=True)
class Outgoing:
    """A message waiting to be sealed and sent, with the sealed content that it refers to, if any."""

    identifier: int
    recipient: str
    number: int
    message: Message
    blob: bytes | None


def enqueue(connection: Connection, recipient: str, message: Message, now: int, blob: bytes | None = None) -> None:
    """Write `message` for `recipient` under the next number of their conversation."""
    connection.execute(
        insert(outbox).values(
            recipient=recipient,
            number=next_number(connection, recipient),
            message=message.canonical().decode(),
            blob=blob,
            written_at=now,
        )
    )


def oldest(connection: Connection, without: Collection[str]) -> Outgoing | None:
    """The message to send next, leaving out recipients who cannot be served just now; or None."""
    found = select(outbox).where(outbox.c.recipient.not_in(without)).order_by(outbox.c.id).limit(1)
    row = connection.execute(found).one_or_none()
    if row is None:
        return None
    return Outgoing(row.id, row.recipient, row.number, parse_message(row.message.encode()), row.blob)


def waiting(connection: Connection, recipient: str) -> int:
    """How many messages wait for `recipient`."""
    return connection.execute(select(func.count()).where(outbox.c.recipient == recipient)).scalar_one()


def is_waiting(connection: Connection, recipient: str, message: Message) -> bool:
    """Whether this very message waits for `recipient` already."""
    same = (outbox.c.recipient == recipient, outbox.c.message == message.canonical().decode())
    return connection.execute(select(outbox.c.id).where(*same).limit(1)).one_or_none() is not None


def sent(connection: Connection, identifier: int) -> None:
    """Forget a message that the relay has taken."""
    connection.execute(delete(outbox).where(outbox.c.id == identifier))
