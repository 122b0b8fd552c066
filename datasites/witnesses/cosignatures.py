"""Cosignatures on this site's own log: each witness's newest, kept so that the log can be handed out with them."""

from sqlalchemy import Connection, select

from datasites.store.peers import require_card
from datasites.store.put import put
from datasites.store.tables import cosignatures
from policies.identity_card import IdentityCard
from policies.log.cosignature import checked_lines, cosigned_at, join_notes
from policies.log.merkle import TreeHead


def keep_cosignature(connection: Connection, card: IdentityCard, witness: str, note: str, head: TreeHead) -> None:
    """Keep the checkpoint of this log that `witness` cosigned, unless it cosigned a longer one before.

    `card` is this site's. Of the note nothing is kept but the log's own line and this witness's.

    Raises:
        NotAuthenticError: its cosignature is on something else.
    """
    key = require_card(connection, witness).cosigning_key
    if cosigned_at(note.encode(), key) is None:
        return
    kept = checked_lines(note.encode(), bytes.fromhex(card.log_key or ""), key).decode()
    longer = select(cosignatures.c.party).where(cosignatures.c.party == witness, cosignatures.c.size > head.size)
    if connection.execute(longer).one_or_none() is None:
        put(connection, cosignatures, {"party": witness}, {"size": head.size, "checkpoint": kept})


def cosigned_notes(connection: Connection) -> dict[int, bytes]:
    """The cosigned checkpoints by their sizes, each with all its cosignatures; the smallest first."""
    by_size = dict[int, list[bytes]]()
    rows = connection.execute(select(cosignatures.c.size, cosignatures.c.checkpoint).order_by(cosignatures.c.size))
    for size, note in rows:
        by_size.setdefault(size, []).append(note.encode())
    return {size: join_notes(notes) for size, notes in by_size.items()}
