"""Hear a witness: it confirms this log's checkpoint, or holds one that tells that the disk was set back."""

from sqlalchemy import Connection, func, select, update

from datasites.protocol.log_messages import WitnessReply
from datasites.site import Site
from datasites.store.peers import require_card
from datasites.store.put import put
from datasites.store.tables import peers, set_backs, witnesses
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.balances import open_balances
from datasites.witnesses.cosignatures import keep_cosignature
from datasites.witnesses.recoveries import lost_heads
from policies.errors import RefusedError
from policies.identity_card import IdentityCard
from policies.log.journal import append, leaf_hashes
from policies.log.merkle import TreeHead, tree_head
from policies.log.recovery import LostHead
from policies.log.set_back_entries import SetBackNoticed
from policies.log.witness import head_of

_SKIPPED_NUMBERS = 2**20
SET_BACK = (
    "This site's disk was set back to an earlier state, as other sites' witness shows; nothing is charged or answered "
    "until its owner runs «datasite recover»."
)


def hear_witness(connection: Connection, site: Site, sender: str, message: WitnessReply, now: int) -> bool:
    """Take a witness's answer to the newest question it was asked; False if it does not confirm what it was shown.

    An answer to any other question, overtaken or replayed, changes nothing.

    Raises:
        InvalidInputError, NotAuthenticError: what it holds is no checkpoint or balance of this site's.
    """
    row = connection.execute(select(witnesses).where(witnesses.c.party == sender)).one_or_none()
    if row is None or row.nonce != message.nonce:
        return True
    card, this_one = site.identity.card, witnesses.c.party == sender
    held = head_of(card, message.checkpoint)
    if require_card(connection, sender).role == "researcher":
        return _hear_researcher(connection, card, sender, message, held)
    if not _continues(connection, held):
        if LostHead.of(held) in lost_heads(connection):
            return False  # it was shown the owner's word that this one was lost, and keeps it
        open_balances(message.balance, site.catalog_keys.balance, card.party, held)
        _note_set_back(connection, sender, held, message.checkpoint, message.balance, now)
        return True
    keep_cosignature(connection, card, sender, message.checkpoint, held)
    rival = 0 if message.rival is None else head_of(card, message.rival).size
    if held.size >= row.asked_size:
        confirmed = {"nonce": None, "kept_size": held.size, "held_size": held.size, "rival_size": None}
        connection.execute(update(witnesses).where(this_one).values(confirmed))
    elif (held.size, rival) == (row.kept_size, row.rival_size or 0):
        return False  # it was shown that this log continues what it holds, and does not take it
    elif message.rival is not None and not _continues(connection, head_of(card, message.rival)):
        _note_rival(connection, sender, message.rival, head_of(card, message.rival), now)
        return False
    else:
        connection.execute(update(witnesses).where(this_one).values(kept_size=held.size, rival_size=rival or None))
        ask_witnesses(connection, site, [sender], now)
    return True


def _hear_researcher(
    connection: Connection, card: IdentityCard, sender: str, message: WitnessReply, held: TreeHead
) -> bool:
    """A researcher's cosignature is kept; what else it shows stops nothing, or it could choose when a site stops."""
    if not _continues(connection, held):
        return False
    keep_cosignature(connection, card, sender, message.checkpoint, held)
    answered = {"nonce": None, "kept_size": held.size, "held_size": held.size}
    connection.execute(update(witnesses).where(witnesses.c.party == sender).values(answered))
    return True


def unconfirmed(connection: Connection, parties: tuple[str, ...], size: int = 1) -> list[str]:
    """Those of `parties` who have not confirmed, since they were asked anew, a checkpoint of `size` entries or more."""
    confirmed = select(witnesses.c.party).where(witnesses.c.party.in_(parties), witnesses.c.held_size >= size)
    known = set(connection.execute(confirmed).scalars())
    return [party for party in parties if party not in known]


def require_not_set_back(connection: Connection) -> None:
    """Raise RefusedError while a witness's evidence stands that the disk was set back."""
    if is_set_back(connection):
        raise RefusedError(SET_BACK)


def is_set_back(connection: Connection) -> bool:
    """Whether a witness holds a checkpoint that this log does not continue."""
    return bool(connection.execute(select(func.count()).select_from(set_backs)).scalar_one())


def _continues(connection: Connection, held: TreeHead) -> bool:
    hashes = leaf_hashes(connection)
    return held.size <= len(hashes) and tree_head(hashes[: held.size]) == held


def _note_rival(connection: Connection, witness: str, checkpoint: str, rival: TreeHead, now: int) -> None:
    """This site signed what its log does not continue. No balance comes with it: those of witnesses still count."""
    if LostHead.of(rival) not in lost_heads(connection):
        _note_set_back(connection, witness, rival, checkpoint, "", now)


def _note_set_back(
    connection: Connection, witness: str, held: TreeHead, checkpoint: str, balance: str, now: int
) -> None:
    row = {"checkpoint": checkpoint, "balance": balance, "noticed_at": now}
    put(connection, set_backs, {"witness": witness}, row)
    connection.execute(update(witnesses).where(witnesses.c.party == witness).values(nonce=None, held_size=0))
    # Numbers of letters that the lost history may have used: another letter under one of them would be dropped.
    connection.execute(update(peers).values(outgoing=peers.c.outgoing + _SKIPPED_NUMBERS))
    append(connection, SetBackNoticed(at=now, witness=witness, held=LostHead.of(held)))
