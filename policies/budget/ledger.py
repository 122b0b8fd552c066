"""The ledger: a population's allowance is reserved on approval, charged before data is touched, returned when unused.

Every function runs inside the caller's transaction. Those that change something lock the population's row first: no two
transactions both act on the same balance. Invariant, for each population and partition, whatever happens:
charges of closed requests + reservations of open and lost ones ≤ allowance.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, insert, select, update

from policies.budget.balance import balance, charged
from policies.budget.chain import FIRST_PREVIOUS_HASH, Charge
from policies.budget.costs import PARTITIONS, Cost, Partition
from policies.budget.filter import allowance_units, filter_order
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges, populations, reservations
from policies.errors import ConflictError, RefusedError


@dataclass(frozen=True)
class Population:
    """A lifetime budget: (ε, δ), the Rényi order fixed for it, and the units that each partition may spend."""

    id: str
    epsilon: float
    delta: float
    filter_order: int
    allowance_units: int


def open_population(connection: Connection, population: str, epsilon: float, delta: float, now: int) -> Population:
    """Open a lifetime budget of (ε, δ) for each unit of `population`; its filter order is fixed here, for ever.

    Raises:
        ConflictError: the population has a budget already; it cannot be opened again or changed.
        InvalidInputError, RefusedError: as `filter_order`.
    """
    if connection.execute(select(populations.c.id).where(populations.c.id == population)).one_or_none() is not None:
        raise ConflictError(f"Population {population} has a budget already; it is fixed for its lifetime.")
    order = filter_order(epsilon, delta)
    opened = Population(population, epsilon, delta, order, allowance_units(epsilon, delta, order))
    connection.execute(
        insert(populations).values(
            id=population,
            epsilon=epsilon,
            delta=delta,
            filter_order=order,
            allowance_units=opened.allowance_units,
            opened_at=now,
        )
    )
    return opened


def reserve(connection: Connection, population: str, request: str, cost: Cost, now: int) -> None:
    """Set `cost` aside for `request` (the digest of its terms), or change nothing.

    Raises:
        RefusedError: it does not fit beside what is spent and reserved.
        ConflictError: the request has had its reservation; it gets one only.
        InvalidInputError: there is no such population.
    """
    _lock(connection, populations.c.id == population)
    left = balance(connection, population)
    if _reservation_state(connection, request) is not None:
        raise ConflictError(f"Request {request[:16]}… has had its reservation; submit it as a new request.")
    if not left.fits(cost):
        raise RefusedError(left.shortfall(cost))
    connection.execute(
        insert(reservations).values(
            request=request,
            population=population,
            training_units=cost.training_units,
            evaluation_units=cost.evaluation_units,
            state="open",
            opened_at=now,
        )
    )


def charge(
    connection: Connection,
    request: str,
    partition: Partition,
    step: str,
    attempt: int,
    mechanism: GaussianMechanism,
    now: int,
) -> Charge:
    """Spend the cost of `mechanism` out of the reservation of `request`; commit before the data is touched.

    Args:
        step: what it is for, such as `round 3`.
        attempt: from 1; another try with fresh noise is another charge.

    Raises:
        RefusedError: there is no reservation, or it has less left than this costs.
        ConflictError: the reservation is closed, or this attempt at this step is charged already.
    """
    order = _lock_reservation(connection, request)
    if _reservation_state(connection, request) != "open":
        raise ConflictError(f"The reservation of request {request[:16]}… is closed; nothing more can be charged to it.")
    same = (charges.c.request == request, charges.c.partition == partition, charges.c.step == step)
    if connection.execute(select(charges.c.id).where(*same, charges.c.attempt == attempt)).one_or_none() is not None:
        raise ConflictError(
            f"Attempt {attempt} at {step} is charged already; resend its answer, or start a new attempt."
        )
    units = cost_units(mechanism, order)
    if units > _unspent(connection, request).of(partition):
        raise RefusedError(
            f"Attempt {attempt} at {step} costs more {partition} units than the reservation of request {request[:16]}… "
            "has left; close the request and submit a new one."
        )
    newest = select(charges.c.id, charges.c.row_hash).order_by(charges.c.id.desc()).limit(1)
    last, previous = connection.execute(newest).tuples().one_or_none() or (0, FIRST_PREVIOUS_HASH)
    made = Charge(
        id=last + 1,
        request=request,
        partition=partition,
        step=step,
        attempt=attempt,
        mechanism=mechanism,
        units=units,
        charged_at=now,
        previous_hash=previous,
    )
    connection.execute(insert(charges).values(made.columns()))
    return made


def close(connection: Connection, request: str, now: int) -> Cost:
    """Return what `request` reserved and was never charged; closing again changes nothing and gives the same answer.

    Raises:
        RefusedError: the request has no reservation.
    """
    _lock_reservation(connection, request)
    connection.execute(
        update(reservations)
        .where(reservations.c.request == request, reservations.c.state == "open")
        .values(state="closed", closed_at=now)
    )
    return _unspent(connection, request)


def lose(connection: Connection, request: str, now: int) -> Cost:
    """Count all that an open reservation has left as spent, and close it; gives what that was.

    Raises:
        ConflictError: the reservation is not open.
        RefusedError: the request has no reservation.
    """
    _lock_reservation(connection, request)
    open_one = (reservations.c.request == request, reservations.c.state == "open")
    if (
        connection.execute(
            update(reservations).where(*open_one).values(state="closed", lost=True, closed_at=now)
        ).rowcount
        != 1
    ):
        raise ConflictError(f"The reservation of request {request[:16]}… is closed; nothing of it is left to lose.")
    return _unspent(connection, request)


def write_off(connection: Connection, population: str, name: str, committed: Cost, now: int) -> Cost:
    """Raise what is spent and reserved of `population` to `committed`, if it is less; gives what that took.

    Args:
        name: a digest that no request has; it names the row.
        committed: what was spent and reserved in a history that was lost.

    Raises:
        InvalidInputError: there is no such population.
    """
    _lock(connection, populations.c.id == population)
    now_held = balance(connection, population)
    missing = {
        it: min(committed.of(it), now_held.of(it).allowance_units)
        - now_held.of(it).spent_units
        - now_held.of(it).reserved_units
        for it in PARTITIONS
    }
    lost = Cost(max(0, missing["training"]), max(0, missing["evaluation"]))
    connection.execute(
        insert(reservations).values(
            request=name,
            population=population,
            training_units=lost.training_units,
            evaluation_units=lost.evaluation_units,
            state="closed",
            lost=True,
            opened_at=now,
            closed_at=now,
        )
    )
    return lost


def _lock(connection: Connection, this_one: ColumnElement[bool]) -> int | None:
    """Hold the population until the transaction ends; its filter order, or None where there is none."""
    # A write that changes nothing: it takes the lock on every database, even where the transaction began as a reader.
    return connection.execute(
        update(populations)
        .where(this_one)
        .values(opened_at=populations.c.opened_at)
        .returning(populations.c.filter_order)
    ).scalar_one_or_none()


def _lock_reservation(connection: Connection, request: str) -> int:
    owner = select(reservations.c.population).where(reservations.c.request == request).scalar_subquery()
    order = _lock(connection, populations.c.id == owner)
    if order is None:
        raise RefusedError(f"Request {request[:16]}… has no reservation; approve it first.")
    return order


def _reservation_state(connection: Connection, request: str) -> str | None:
    return connection.execute(
        select(reservations.c.state).where(reservations.c.request == request)
    ).scalar_one_or_none()


def _unspent(connection: Connection, request: str) -> Cost:
    held = connection.execute(select(reservations).where(reservations.c.request == request)).one()
    spent = charged(connection, charges.c.request == request)
    return Cost(held.training_units - spent.training_units, held.evaluation_units - spent.evaluation_units)
