"""The outbox: messages written in the same transaction as the change they tell of, sent until the relay has them."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

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


def oldest(connection: Connection) -> Outgoing | None:
    """The message to send next, or None."""
    row = connection.execute(select(outbox).order_by(outbox.c.id).limit(1)).one_or_none()
    if row is None:
        return None
    return Outgoing(row.id, row.recipient, row.number, parse_message(row.message.encode()), row.blob)


def sent(connection: Connection, identifier: int) -> None:
    """Forget a message that the relay has taken."""
    connection.execute(delete(outbox).where(outbox.c.id == identifier))
