"""Ask witnesses to keep this log's newest checkpoint, and to say whether they hold one that it does not continue."""

import secrets
from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from datasites.protocol.messages import WitnessRequest
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.put import put
from datasites.store.tables import recoveries, witnesses
from datasites.witnesses.balances import seal_balances
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.journal import leaf_hashes
from policies.log.merkle import consistency_proof, tree_head
from policies.log.recovery import SignedRecovery
from policies.statements.schema import parse_model

_MAXIMUM_STATEMENT_BYTES = 64 * 1024


def ask_witnesses(connection: Connection, site: Site, parties: Iterable[str], now: int) -> int:
    """Send the log's newest checkpoint, as of this transaction, to each of `parties`; gives its size, 0 if to nobody.

    The answer is taken by `hear_witness`; asking again is always safe.
    """
    recipients = list(parties)
    if not recipients:
        return 0
    hashes = leaf_hashes(connection)
    size, own = len(hashes), site.identity.party
    assert site.identity.log is not None  # noqa: S101 – a datasite has a log key, as its card was checked to
    note = sign_checkpoint(site.identity.log, Checkpoint(log_origin(own), tree_head(hashes))).decode()
    balance = seal_balances(connection, site.catalog_keys.balance, own, size)
    recovery = _newest_recovery(connection)
    for party in recipients:
        nonce = secrets.token_hex(16)
        earlier = _asked_size(connection, party)
        proof_from = earlier if earlier <= size else 0
        put(connection, witnesses, {"party": party}, {"nonce": nonce, "asked_size": size, "proof_from": proof_from})
        message = WitnessRequest(
            nonce=nonce,
            checkpoint=note,
            proof_from=proof_from,
            proof=tuple(node.hex() for node in consistency_proof(hashes, proof_from)) if proof_from else (),
            balance=balance,
            recovery=recovery,
        )
        enqueue(connection, party, message, now)
    return size


def prove_from(connection: Connection, party: str, size: int) -> None:
    """Note that `party` holds the checkpoint of `size`, so that the next one is proved to continue that."""
    connection.execute(update(witnesses).where(witnesses.c.party == party).values(asked_size=size))


def _asked_size(connection: Connection, party: str) -> int:
    found = select(witnesses.c.asked_size).where(witnesses.c.party == party)
    return connection.execute(found).scalar_one_or_none() or 0


def _newest_recovery(connection: Connection) -> SignedRecovery | None:
    newest = select(recoveries.c.statement).order_by(recoveries.c.id.desc()).limit(1)
    text = connection.execute(newest).scalar_one_or_none()
    if text is None:
        return None
    return parse_model(SignedRecovery, text.encode(), maximum_bytes=_MAXIMUM_STATEMENT_BYTES, what="A stored recovery")
