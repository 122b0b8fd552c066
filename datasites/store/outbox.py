"""The outbox: messages written in the same transaction as the change they tell of, sent until the relay has them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from datasites.protocol.messages import Message, parse_message
from datasites.store.peers import next_number
from datasites.store.tables import outbox


@dataclass(frozen=True)
class Outgoing:
    """A message waiting to be sealed and sent; `has_blob`: a file of the content folder must reach the relay before."""

    identifier: int
    recipient: str
    number: int
    message: Message
    has_blob: bool


def enqueue(
    connection: Connection, recipient: str, message: Message, now: int, content_file: str | None = None
) -> None:
    """Write `message` for `recipient` under the next number of their conversation.

    `content_file` names the file of the content folder that holds the blob it refers to.
    """
    connection.execute(
        insert(outbox).values(
            recipient=recipient,
            number=next_number(connection, recipient),
            message=message.canonical().decode(),
            content_file=content_file,
            written_at=now,
        )
    )


def oldest(connection: Connection, without: Collection[str], most: int) -> list[Outgoing]:
    """The messages to send next, in their order, leaving out recipients who cannot be served just now."""
    chosen = (outbox.c.id, outbox.c.recipient, outbox.c.number, outbox.c.message, outbox.c.content_file.is_not(None))
    rows = connection.execute(
        select(*chosen).where(outbox.c.recipient.not_in(without)).order_by(outbox.c.id).limit(most)
    )
    return [Outgoing(row[0], row[1], row[2], parse_message(row[3].encode()), row[4]) for row in rows]


def waiting(connection: Connection, recipient: str) -> int:
    """How many messages wait for `recipient`."""
    return connection.execute(select(func.count()).where(outbox.c.recipient == recipient)).scalar_one()


def content_waits(connection: Connection, recipient: str) -> bool:
    """Whether a message with a content of its own waits for `recipient`."""
    waits = (outbox.c.recipient == recipient, outbox.c.content_file.is_not(None))
    return connection.execute(select(outbox.c.id).where(*waits).limit(1)).one_or_none() is not None


def is_waiting(connection: Connection, recipient: str, message: Message) -> bool:
    """Whether this very message waits for `recipient` already."""
    same = (outbox.c.recipient == recipient, outbox.c.message == message.canonical().decode())
    return connection.execute(select(outbox.c.id).where(*same).limit(1)).one_or_none() is not None


def sent(connection: Connection, identifiers: Collection[int]) -> None:
    """Forget messages that the relay has taken."""
    connection.execute(delete(outbox).where(outbox.c.id.in_(identifiers)))
