"""Whether a datasite at rest is sound: ledger, rounds, letters, contents and log tell the same story."""

from collections import Counter

from sqlalchemy import Connection, select

from datasites.requests.records import find_request
from datasites.store.referred import referred_contents
from datasites.store.tables import jobs, outbox, peers, requests, rounds
from policies.budget.balance import balance
from policies.budget.chain import verify_chain
from policies.budget.costs import PARTITIONS, round_mechanisms
from policies.budget.tables import charges, populations, reservations
from policies.log.bundle import SiteFacts
from policies.log.entries import RoundComputed, UpdateReleased
from policies.log.job_entries import JobStarted
from policies.log.journal import entries, entry_bytes
from policies.log.replay import Replay
from tests.crashes.words_sound import check_words
from tests.one_site import Scene


def require_sound(scene: Scene) -> None:
    """Check that nothing is charged, answered or run twice, nothing half done, and that the log says what the rows say.

    Raises:
        AssertionError: something does not hold.
    """
    with scene.site.engine.begin() as connection:
        verify_chain(connection)
        _check_charges(connection)
        _check_letters(connection)
        _check_log(connection, scene)
        missing = [it for it in referred_contents(connection, scene.now) if not scene.site.contents.has(it)]
    assert missing == []
    assert scene.audit().broken == []


def _check_charges(connection: Connection) -> None:
    """Each attempt at a round that was begun is charged once on each partition that the terms name, and no other is."""
    made = Counter((it.request, it.step, it.partition, it.attempt) for it in connection.execute(select(charges)))
    expected = set()
    for row in connection.execute(select(rounds)).all():
        request = find_request(connection, row.request)
        assert request is not None
        begun = row.attempt - (row.state == "asked")
        expected |= {
            (row.request, f"round {row.round}", partition, attempt)
            for partition in round_mechanisms(request.terms, row.round)
            for attempt in range(1, begun + 1)
        }
    assert made == Counter(expected)


def _check_letters(connection: Connection) -> None:
    """No two letters to one party have one number, and none a number that was not taken."""
    numbers = Counter((it.recipient, it.number) for it in connection.execute(select(outbox)))
    taken = dict(connection.execute(select(peers.c.party, peers.c.outgoing)).tuples().all())
    assert set(numbers.values()) <= {1}
    assert all(number <= taken[recipient] for recipient, number in numbers)


def _check_log(connection: Connection, scene: Scene) -> None:
    """Balances, open reservations, answers and executions are those that the log tells of."""
    card = scene.site.identity.card
    facts = SiteFacts(
        name=card.name, signing_key=card.signing_key, log_key=card.log_key or "", owner_key=card.owner_key or ""
    )
    replay = Replay(facts, bytes.fromhex(card.owner_key or ""))
    for position, entry in enumerate(entry_bytes(connection)):
        replay.take(position, entry)
    for name in connection.execute(select(populations.c.id)).scalars():
        told, held = replay.accounts.populations[name], balance(connection, name)
        for partition in PARTITIONS:
            assert told.spent[partition] == held.of(partition).spent_units
            assert told.reserved[partition] == held.of(partition).reserved_units
    still_open = select(reservations.c.request).where(reservations.c.state == "open")
    going = select(requests.c.digest).where(requests.c.status.in_(("approved", "running")))
    assert set(connection.execute(still_open).scalars()) == set(connection.execute(going).scalars())
    logged = [entry for _, entry in entries(connection)]
    check_words(connection, logged)
    computed = select(rounds.c.request, rounds.c.round).where(rounds.c.state == "computed")
    answered = Counter((it.request, it.round) for it in logged if isinstance(it, RoundComputed))
    assert answered == Counter(connection.execute(computed).tuples().all())
    released = Counter((it.request, it.round) for it in logged if isinstance(it, UpdateReleased))
    assert set(released.values()) <= {1}
    assert released.keys() <= answered.keys()
    begun = Counter(it.request for it in logged if isinstance(it, JobStarted))
    assert begun == Counter(dict(connection.execute(select(jobs.c.digest, jobs.c.attempt)).tuples().all()))
