"""Be a witness: keep the newest checkpoint of another site's log, and never exchange it for one that does not follow.

The rule is that of c2sp.org/tlog-witness: a checkpoint is taken only with a proof that it continues the one kept.
"""

from sqlalchemy import Connection, Row, select

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import WitnessReply, WitnessRequest
from datasites.store.outbox import enqueue
from datasites.store.put import put
from datasites.store.tables import witnessed
from policies.errors import NotAuthenticError, RefusedError
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.merkle import TreeHead, verify_consistency
from policies.log.recovery import LostHead, verify_recovery


def keep_checkpoint(connection: Connection, sender: IdentityCard, message: WitnessRequest, now: int) -> None:
    """Keep the checkpoint that `sender` sent, if it continues the one kept, and answer with the one kept now.

    Raises:
        RefusedError: the sender is no datasite.
        InvalidInputError, NotAuthenticError: what it sent is no checkpoint of its log.
    """
    asked = _head(sender, message.checkpoint)
    row = connection.execute(select(witnessed).where(witnessed.c.party == sender.party)).one_or_none()
    if row is None or _follows(sender, row, asked, message):
        values: dict[str, object] = {"size": asked.size, "checkpoint": message.checkpoint, "balance": message.balance}
        put(connection, witnessed, {"party": sender.party}, values)
        checkpoint, balance = message.checkpoint, message.balance
    else:
        checkpoint, balance = row.checkpoint, row.balance
    enqueue(connection, sender.party, WitnessReply(nonce=message.nonce, checkpoint=checkpoint, balance=balance), now)


def _head(sender: IdentityCard, note: str) -> TreeHead:
    if sender.log_key is None:
        raise RefusedError("Only a datasite has a log to be witnessed.")
    return open_checkpoint(note.encode(), log_origin(sender.party), bytes.fromhex(sender.log_key)).head


def _follows(sender: IdentityCard, row: Row[tuple[object, ...]], asked: TreeHead, message: WitnessRequest) -> bool:
    kept = _head(sender, row._mapping["checkpoint"])
    if message.recovery is not None and sender.owner_key is not None:
        recovery = verify_recovery(message.recovery, bytes.fromhex(sender.owner_key), sender.party)
        if LostHead.of(kept) in recovery.lost:
            return True
    if message.proof_from != kept.size and asked.size != kept.size:
        return False
    try:
        verify_consistency(kept, asked, [bytes.fromhex(node) for node in message.proof if asked.size != kept.size])
    except NotAuthenticError:
        return False
    return True
