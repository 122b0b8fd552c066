"""Recover a site whose disk was set back: the owner writes off all that may have been spent in the lost history."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, update

from datasites.requests.close import close_request
from datasites.requests.records import Status, requests_in
from datasites.site import Site
from datasites.store.tables import budget_tables, peers, recoveries, set_backs
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.balances import Committed, open_balances
from policies.budget.costs import Cost
from policies.budget.ledger import write_off
from policies.errors import NotAuthenticError, RefusedError
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.entries import BudgetWrittenOff, LogRecovered
from policies.log.journal import append
from policies.log.recovery import LostHead, Recovery, SignedRecovery, sign_recovery
from policies.statements.digests import digest

_SKIPPED_NUMBERS = 2**20
_REASON = "The site's disk was set back to an earlier state; what this study had reserved counts as spent."


@dataclass(frozen=True)
class Recovered:
    """What a recovery did: studies ended, units written off by population, and populations that this disk forgot."""

    ended: tuple[int, ...]
    written_off: dict[str, Cost]
    forgotten: tuple[str, ...]


def recover(connection: Connection, site: Site, owner_key: Ed25519PrivateKey, now: int) -> Recovered:
    """Write off what is uncertain, sign for it, and ask the witnesses who noticed to follow the log from here.

    Every study that was open ends, with all its reservation spent. A population's spending is raised to what the
    witnesses' newest sealed balance says was spent or reserved: no answer went out that it does not cover. Numbers of
    messages that may have been used are skipped.

    Raises:
        RefusedError: no witness has noticed anything.
        NotAuthenticError: the key is not this datasite's owner's, or a witness's evidence is not by this site.
    """
    if owner_key.public_key().public_bytes_raw().hex() != site.identity.card.owner_key:
        raise NotAuthenticError("This key is not the decision key on the datasite's card; use the owner's own key.")
    evidence = connection.execute(select(set_backs)).all()
    if not evidence:
        raise RefusedError("No witness holds anything that this site's log does not continue; nothing was changed.")
    heads, committed = set[LostHead](), dict[str, Committed]()
    for row in evidence:
        head, balances = _opened(site, row.checkpoint, row.balance)
        heads.add(head)
        for it in balances:
            committed[it.population] = _larger(it, committed.get(it.population))
    signed = _sign(site, owner_key, heads, now)
    connection.execute(insert(recoveries).values(statement=signed.canonical().decode()))
    append(connection, LogRecovered(at=now, signed=signed))
    ended = _end_open_studies(connection, now)
    known = set(connection.execute(select(budget_tables.populations.c.id)).scalars())
    written_off = {
        name: _write_off(connection, it, signed, now) for name, it in sorted(committed.items()) if name in known
    }
    connection.execute(update(peers).values(outgoing=peers.c.outgoing + _SKIPPED_NUMBERS))
    connection.execute(delete(set_backs))
    ask_witnesses(connection, site, [row.witness for row in evidence], now)
    return Recovered(ended, written_off, tuple(sorted(committed.keys() - known)))


def _opened(site: Site, note: str, balance: str) -> tuple[LostHead, tuple[Committed, ...]]:
    card = site.identity.card
    head = open_checkpoint(note.encode(), log_origin(card.party), bytes.fromhex(card.log_key or "")).head
    return LostHead.of(head), open_balances(balance, site.catalog_keys.balance, card.party, head.size)


def _larger(first: Committed, second: Committed | None) -> Committed:
    if second is None:
        return first
    return Committed(
        population=first.population,
        training_units=max(first.training_units, second.training_units),
        evaluation_units=max(first.evaluation_units, second.evaluation_units),
    )


def _sign(site: Site, owner_key: Ed25519PrivateKey, heads: set[LostHead], now: int) -> SignedRecovery:
    lost = tuple(sorted(heads, key=lambda head: (head.size, head.root)))
    recovery = Recovery(version="cloister-recovery/1", site=site.identity.party, lost=lost, recovered_at=now)
    return sign_recovery(owner_key, recovery)


def _end_open_studies(connection: Connection, now: int) -> tuple[int, ...]:
    found = requests_in(connection, Status.APPROVED, Status.RUNNING)
    for request in found:
        close_request(connection, request.digest, Status.FAILED, _REASON, now, lost=True)
    return tuple(request.number for request in found)


def _write_off(connection: Connection, committed: Committed, signed: SignedRecovery, now: int) -> Cost:
    name = digest("write-off", signed.canonical(), committed.population.encode())
    cost = Cost(committed.training_units, committed.evaluation_units)
    lost = write_off(connection, committed.population, name, cost, now)
    append(
        connection,
        BudgetWrittenOff(
            at=now,
            population=committed.population,
            training_units=lost.training_units,
            evaluation_units=lost.evaluation_units,
        ),
    )
    return lost
