"""Be a witness: keep the newest checkpoint of another site's log, cosign it, and take none that does not follow."""

from sqlalchemy import Connection, select

from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.store.outbox import enqueue
from datasites.store.put import put
from datasites.store.tables import witnessed
from datasites.witnesses.histories import accuse, may_be_lost, take_recovery
from datasites.witnesses.sightings import note_proved, sighting_of, unproved
from policies.log.cosignature import cosign
from policies.log.merkle import TreeHead
from policies.log.witness import Shown, head_of, is_fork, lost_heads, own_note


def keep_checkpoint(
    connection: Connection, witness: Identity, sender: IdentityCard, message: WitnessRequest, now: int
) -> None:
    """Keep the checkpoint that `sender` sent, if it continues the one kept, and answer with the one kept now, cosigned.

    If others were shown a checkpoint of that log, it must be shown to be continued as well. One of a size that is known
    with another root is evidence against the sender; what is kept here stays the one history that is kept.

    Raises:
        RefusedError: the sender is no datasite.
        InvalidInputError, NotAuthenticError: what it sent is no checkpoint of its log.
    """
    asked = head_of(sender, message.checkpoint)
    take_recovery(connection, sender, message.recovery, now)
    row = connection.execute(select(witnessed).where(witnessed.c.party == sender.party)).one_or_none()
    known = sighting_of(connection, sender.party, asked.size)
    checkpoint, balance = own_note(sender, message.checkpoint), message.balance
    fork = known is not None and is_fork(head_of(sender, known), asked)
    if fork and known is not None and not may_be_lost(connection, sender, asked):
        accuse(connection, sender, known, checkpoint, now)
    if row is None or _follows(connection, sender, asked, message, row.checkpoint):
        put(
            connection,
            witnessed,
            {"party": sender.party},
            {"size": asked.size, "checkpoint": checkpoint, "balance": balance},
        )
        note_proved(connection, sender.party, asked.size, checkpoint)
    else:
        checkpoint, balance = row.checkpoint, row.balance
    cosigned = cosign(witness.cosigning, witness.party, checkpoint.encode(), now).decode()
    rival = unproved(connection, sender.party)
    reply = WitnessReply(nonce=message.nonce, checkpoint=cosigned, balance=balance, rival=rival)
    enqueue(connection, sender.party, reply, now)


def _follows(connection: Connection, sender: IdentityCard, asked: TreeHead, message: WitnessRequest, kept: str) -> bool:
    lost = lost_heads(sender, message.recovery)
    if not Shown(asked, message.proof_from, message.proof, lost).follows(head_of(sender, kept)):
        return False
    rival = unproved(connection, sender.party)
    return rival is None or Shown(asked, message.rival_from, message.rival_proof, lost).follows(head_of(sender, rival))
