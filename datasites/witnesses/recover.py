"""Recover a site whose disk was set back: the owner writes off all that may have been spent in the lost history."""

from collections import defaultdict
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select

from datasites.people.approvals import forget_all_approvals
from datasites.protocol.person_key import require_owner_key
from datasites.requests.close import close_request
from datasites.requests.jobs.close import void_approvals
from datasites.requests.records import Status, requests_in
from datasites.site import Site
from datasites.store.tables import budget_tables, recoveries, set_backs, witnesses
from datasites.witnesses.ask import ask_anew
from datasites.witnesses.balances import open_balances
from datasites.witnesses.recoveries import lost_heads
from policies.budget.costs import Cost
from policies.budget.ledger import write_off
from policies.errors import RefusedError
from policies.log.budget_entries import ChargeMade
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.journal import append, entries
from policies.log.recovery import MOST_LOST_HEADS, LostHead, Recovery, SignedRecovery, sign_recovery
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered
from policies.statements.digests import digest

_REASON = "The site's disk was set back to an earlier state; what this study had reserved counts as spent."


@dataclass(frozen=True)
class Recovered:
    """What a recovery did: requests ended, units written off by population, populations that this disk forgot."""

    ended: tuple[int, ...]
    written_off: dict[str, Cost]
    forgotten: tuple[str, ...]


def recover(connection: Connection, site: Site, owner_key: Ed25519PrivateKey, now: int) -> Recovered:
    """Write off what is uncertain, sign for it, and ask all witnesses to follow the log from here.

    Every study that was open ends, with all its reservation spent, and no approval of a job stands any more. A
    population's spending is raised to what the witnesses' sealed balances say was spent or reserved, and what was
    charged here beside that: no answer went out that it does not cover.

    Raises:
        RefusedError: no witness has noticed anything.
        NotAuthenticError: the key is not this datasite's owner's, or a witness's evidence is not by this site.
    """
    require_owner_key(owner_key, site.identity.card)
    evidence = connection.execute(
        select(set_backs, witnesses.c.kept_size).join(witnesses, witnesses.c.party == set_backs.c.witness)
    ).all()
    if not evidence:
        raise RefusedError("No witness holds anything that this site's log does not continue; nothing was changed.")
    heads, taken = set[LostHead](), dict[str, Cost]()
    for row in evidence:
        head, balances = _opened(site, row.checkpoint, row.balance)
        heads.add(head)
        beside = _charged_since(connection, row.kept_size)
        for name, cost in balances.items():
            taken[name] = _larger(_sum(cost, beside[name]), taken.get(name, Cost(0, 0)))
    signed = _sign(connection, site, owner_key, heads, now)
    connection.execute(insert(recoveries).values(statement=signed.canonical().decode()))
    append(connection, LogRecovered(at=now, signed=signed))
    ended = _end_open_studies(connection, now)
    forget_all_approvals(connection)
    known = set(connection.execute(select(budget_tables.populations.c.id)).scalars())
    written_off = {
        name: _write_off(connection, name, cost, signed, now) for name, cost in sorted(taken.items()) if name in known
    }
    connection.execute(delete(set_backs))
    ask_anew(connection, site, connection.execute(select(witnesses.c.party)).scalars().all(), now)
    forgotten = (name for name, cost in taken.items() if name not in known and cost != Cost(0, 0))
    return Recovered(ended, written_off, tuple(sorted(forgotten)))


def _opened(site: Site, note: str, balance: str) -> tuple[LostHead, dict[str, Cost]]:
    card = site.identity.card
    head = open_checkpoint(note.encode(), log_origin(card.party), bytes.fromhex(card.log_key or "")).head
    committed = open_balances(balance, site.catalog_keys.balance, card.party, head) if balance else ()
    return LostHead.of(head), {it.population: Cost(it.training_units, it.evaluation_units) for it in committed}


def _charged_since(connection: Connection, kept: int) -> defaultdict[str, Cost]:
    """What this log charged behind its first `kept` entries, by population.

    The lost history continues those as well, for the witness that holds it took nothing else; it knows of nothing that
    was charged here after the two parted.
    """
    charged = defaultdict[str, Cost](lambda: Cost(0, 0))
    for position, entry in entries(connection):
        if position >= kept and isinstance(entry, ChargeMade):
            units = Cost(entry.units, 0) if entry.partition == "training" else Cost(0, entry.units)
            charged[entry.population] = _sum(charged[entry.population], units)
    return charged


def _sum(first: Cost, second: Cost) -> Cost:
    return Cost(first.training_units + second.training_units, first.evaluation_units + second.evaluation_units)


def _larger(first: Cost, second: Cost) -> Cost:
    return Cost(max(first.training_units, second.training_units), max(first.evaluation_units, second.evaluation_units))


def _sign(
    connection: Connection, site: Site, owner_key: Ed25519PrivateKey, heads: set[LostHead], now: int
) -> SignedRecovery:
    # Earlier ones again: a witness that was not reached since then may still hold one of them.
    newest = sorted(heads, key=lambda head: (head.size, head.root))
    lost = tuple(dict.fromkeys([*newest, *lost_heads(connection)]))[:MOST_LOST_HEADS]
    recovery = Recovery(version="cloister-recovery/1", site=site.identity.party, lost=lost, recovered_at=now)
    return sign_recovery(owner_key, recovery)


def _end_open_studies(connection: Connection, now: int) -> tuple[int, ...]:
    found = requests_in(connection, Status.APPROVED, Status.RUNNING)
    for request in found:
        close_request(connection, request.digest, Status.FAILED, _REASON, now, lost=True)
    return (*(request.number for request in found), *void_approvals(connection, now))


def _write_off(connection: Connection, population: str, taken: Cost, signed: SignedRecovery, now: int) -> Cost:
    name = digest("write-off", signed.canonical(), population.encode())
    lost = write_off(connection, population, name, taken, now)
    append(
        connection,
        BudgetWrittenOff(
            at=now, population=population, training_units=lost.training_units, evaluation_units=lost.evaluation_units
        ),
    )
    return lost
