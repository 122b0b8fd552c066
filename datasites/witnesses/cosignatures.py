"""Cosignatures on this site's own log: each witness's newest, kept so that the log can be handed out with them."""

from sqlalchemy import Connection, select

from datasites.store.peers import require_card
from datasites.store.put import put
from datasites.store.tables import cosignatures
from policies.log.cosignature import cosigned_at, join_notes
from policies.log.merkle import TreeHead


def keep_cosignature(connection: Connection, witness: str, note: str, head: TreeHead) -> None:
    """Keep the checkpoint of this log that `witness` cosigned, unless it cosigned a longer one before.

    Raises:
        NotAuthenticError: its cosignature is on something else.
    """
    if cosigned_at(note.encode(), require_card(connection, witness).cosigning_key) is None:
        return
    longer = select(cosignatures.c.party).where(cosignatures.c.party == witness, cosignatures.c.size > head.size)
    if connection.execute(longer).one_or_none() is None:
        put(connection, cosignatures, {"party": witness}, {"size": head.size, "checkpoint": note})


def cosigned_notes(connection: Connection) -> dict[int, bytes]:
    """The cosigned checkpoints by their sizes, each with all its cosignatures; the smallest first."""
    by_size = dict[int, list[bytes]]()
    rows = connection.execute(select(cosignatures.c.size, cosignatures.c.checkpoint).order_by(cosignatures.c.size))
    for size, note in rows:
        by_size.setdefault(size, []).append(note.encode())
    return {size: join_notes(notes) for size, notes in by_size.items()}
