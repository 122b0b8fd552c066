"""Ask witnesses to keep this log's newest checkpoint, and to say whether they hold one that it does not continue."""

import secrets
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, update

from datasites.protocol.log_messages import WitnessRequest
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.put import put
from datasites.store.tables import witnesses
from datasites.witnesses.balances import seal_balances
from datasites.witnesses.gossip import seen_with
from datasites.witnesses.recoveries import newest_recovery
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.journal import leaf_hashes
from policies.log.merkle import consistency_proof, tree_head

_PATIENCE_SECONDS = 10


def ask_witnesses(connection: Connection, site: Site, parties: Iterable[str], now: int) -> int:
    """Send the log's newest checkpoint, as of this transaction, to each of `parties`; gives its size, 0 if to nobody.

    The answer is taken by `hear_witness`. An answer to an earlier question does not count any more.
    """
    recipients = list(parties)
    if not recipients:
        return 0
    hashes = leaf_hashes(connection)
    head, own = tree_head(hashes), site.identity.party
    note = sign_checkpoint(site.log_key, Checkpoint(log_origin(own), head)).decode()
    balance = seal_balances(connection, site.catalog_keys.balance, own, head)
    recovery = newest_recovery(connection)
    for party in recipients:
        nonce = secrets.token_hex(16)
        kept, rival = _known_sizes(connection, party)
        put(connection, witnesses, {"party": party}, {"nonce": nonce, "asked_size": head.size, "asked_at": now})
        message = WitnessRequest(
            nonce=nonce,
            checkpoint=note,
            proof_from=kept,
            proof=_proof(hashes, kept),
            rival_from=rival,
            rival_proof=_proof(hashes, rival),
            balance=balance,
            recovery=recovery,
            seen=seen_with(connection, party),
        )
        enqueue(connection, party, message, now)
    return head.size


def ask_anew(connection: Connection, site: Site, parties: Iterable[str], now: int) -> None:
    """Forget what `parties` confirmed, and ask them: nobody knows what has happened to the disk since."""
    asked = tuple(parties)
    connection.execute(update(witnesses).where(witnesses.c.party.in_(asked)).values(nonce=None, held_size=0))
    ask_witnesses(connection, site, asked, now)


def ask_again(connection: Connection, site: Site, parties: Iterable[str], now: int) -> None:
    """Ask those of `parties` who have no question to answer, or have not answered theirs for a while.

    Not sooner: a question overtakes the one before, and whoever could make this site ask all the time would keep every
    answer from counting.
    """
    lately = (witnesses.c.asked_at > now - _PATIENCE_SECONDS) & (witnesses.c.asked_at <= now)
    pending = select(witnesses.c.party).where(witnesses.c.nonce.is_not(None), lately)
    asked = set(connection.execute(pending).scalars())
    ask_witnesses(connection, site, [party for party in parties if party not in asked], now)


def _known_sizes(connection: Connection, party: str) -> tuple[int, int]:
    """The sizes of what the witness keeps, and of what it was shown by others; 0 for none."""
    found = select(witnesses.c.kept_size, witnesses.c.rival_size).where(witnesses.c.party == party)
    row = connection.execute(found).one_or_none()
    return (0, 0) if row is None else (row.kept_size, row.rival_size or 0)


def _proof(hashes: Sequence[bytes], old_size: int) -> tuple[str, ...]:
    return tuple(node.hex() for node in consistency_proof(hashes, old_size)) if old_size else ()
