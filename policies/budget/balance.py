"""How a population's budget stands: what each partition has spent, holds in reserve and has left."""

import json
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, func, select

from policies.budget.costs import PARTITIONS, Cost, Partition
from policies.budget.renyi import GaussianMechanism, epsilon
from policies.budget.tables import charges, populations, reservations
from policies.errors import InvalidInputError


@dataclass(frozen=True)
class PartitionBalance:
    """One partition's units: `reserved_units` is what open requests hold and have not been charged yet."""

    allowance_units: int
    spent_units: int
    reserved_units: int

    @property
    def remaining_units(self) -> int:
        """What a new request may still reserve."""
        return self.allowance_units - self.spent_units - self.reserved_units

    @property
    def remaining_share(self) -> float:
        """`remaining_units` as a share of the allowance, 0 to 1."""
        return self.remaining_units / self.allowance_units


@dataclass(frozen=True)
class Balance:
    """Both partitions of a population; each has the whole allowance."""

    training: PartitionBalance
    evaluation: PartitionBalance

    def of(self, partition: Partition) -> PartitionBalance:
        """The balance of `partition`."""
        return self.training if partition == "training" else self.evaluation

    def fits(self, cost: Cost) -> bool:
        """Whether `cost` could be reserved now."""
        return all(cost.of(partition) <= self.of(partition).remaining_units for partition in PARTITIONS)

    def shortfall(self, cost: Cost) -> str:
        """Why `cost` does not fit, in shares of the allowance; empty where it fits."""
        parts = [
            _short(partition, cost.of(partition), self.of(partition))
            for partition in PARTITIONS
            if cost.of(partition) > self.of(partition).remaining_units
        ]
        if not parts:
            return ""
        return (
            f"This request does not fit the privacy budget: {'; '.join(parts)}. Ask for more noise, fewer steps or "
            "fewer evaluations, or close requests that hold a reservation."
        )


def balance(connection: Connection, population: str) -> Balance:
    """How the budget of `population` stands.

    Raises:
        InvalidInputError: there is no such population.
    """
    allowance = connection.execute(
        select(populations.c.allowance_units).where(populations.c.id == population)
    ).scalar_one_or_none()
    if allowance is None:
        raise InvalidInputError(f"There is no population {population}; register a data set to open one.")
    here, still_open = reservations.c.population == population, reservations.c.state == "open"
    lost = reservations.c.lost
    reserved, written_off = _held(connection, here, still_open), _held(connection, here, lost)
    charges_of_kept, charges_of_open = charged(connection, here, ~lost), charged(connection, here, still_open)
    training, evaluation = (
        PartitionBalance(
            allowance_units=allowance,
            spent_units=charges_of_kept.of(it) + written_off.of(it),
            reserved_units=reserved.of(it) - charges_of_open.of(it),
        )
        for it in PARTITIONS
    )
    return Balance(training, evaluation)


def _held(connection: Connection, *where: ColumnElement[bool]) -> Cost:
    """The sum of the reservations, as they were opened, that satisfy `where`."""
    training, evaluation = connection.execute(
        select(
            func.coalesce(func.sum(reservations.c.training_units), 0),
            func.coalesce(func.sum(reservations.c.evaluation_units), 0),
        ).where(*where)
    ).one()
    return Cost(int(training), int(evaluation))


def charged(connection: Connection, *where: ColumnElement[bool]) -> Cost:
    """The sum of the charges whose reservation or charge satisfies `where`."""
    rows = connection.execute(
        select(charges.c.partition, func.sum(charges.c.units))
        .join(reservations, reservations.c.request == charges.c.request)
        .where(*where)
        .group_by(charges.c.partition)
    )
    units = {partition: int(total) for partition, total in rows.tuples()}
    return Cost(units.get("training", 0), units.get("evaluation", 0))


def charged_epsilon(connection: Connection, population: str, partition: Partition) -> float:
    """ε at the population's δ of what `partition` was charged, at its own best order; 0 before the first charge.

    An estimate: a total over a history that was chosen while it was seen is no bound. The filter's shares are.
    """
    delta = connection.execute(select(populations.c.delta).where(populations.c.id == population)).scalar_one()
    rows = connection.execute(
        select(charges.c.mechanism, func.count())
        .join(reservations, reservations.c.request == charges.c.request)
        .where(reservations.c.population == population, charges.c.partition == partition)
        .group_by(charges.c.mechanism)
    )
    mechanisms = [replace(made := _mechanism(text), steps=made.steps * count) for text, count in rows.tuples()]
    return epsilon(mechanisms, delta)[0] if mechanisms else 0.0


def _mechanism(text: str) -> GaussianMechanism:
    fields = json.loads(text)
    return GaussianMechanism(fields["noise_multiplier"], fields["sampling_rate"], fields["steps"])


def _short(partition: Partition, needed: int, left: PartitionBalance) -> str:
    # Need is rounded up and rest down, so that the two never print as the same figure.
    need_tenths = -(-1000 * needed // left.allowance_units)
    rest_tenths = 1000 * left.remaining_units // left.allowance_units
    return f"its {partition} needs {need_tenths / 10:.1f} % of the allowance and {rest_tenths / 10:.1f} % is left"
