"""Recounts the privacy ledger from log entries alone: allowances, reservations and charges, each cost computed anew."""

from collections import Counter
from dataclasses import dataclass, field

from policies.budget.costs import Partition
from policies.budget.filter import allowance_units
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.errors import RefusedError
from policies.log.budget_entries import (
    ChargeMade,
    PopulationOpened,
    ReservationClosed,
    ReservationLost,
    ReservationOpened,
    Step,
)
from policies.log.set_back_entries import BudgetWrittenOff


@dataclass
class Population:
    """A lifetime budget as far as it has been recounted; amounts in ledger units, by partition."""

    order: int
    allowance: int
    spent: Counter[Partition] = field(default_factory=Counter)
    reserved: Counter[Partition] = field(default_factory=Counter)


@dataclass
class Reservation:
    """What a request may still charge (None once closed), and which attempts at a step it has charged, for what."""

    remaining: Counter[Partition] | None
    charged: dict[tuple[Step, int], set[Partition]] = field(default_factory=dict)


def require(holds: bool, reason: str) -> None:
    """Raise RefusedError with `reason` unless the rule holds."""
    if not holds:
        raise RefusedError(reason)


class Accounts:
    """Every population and reservation. What breaks a rule is counted all the same, and raises RefusedError."""

    def __init__(self) -> None:
        self.populations: dict[str, Population] = {}
        self.reservations: dict[str, Reservation] = {}

    def open_population(self, entry: PopulationOpened) -> None:
        """Open a lifetime budget: once, with the allowance that its ε, δ and order give."""
        require(entry.population not in self.populations, "the population is opened a second time")
        self.populations[entry.population] = Population(entry.filter_order, entry.allowance_units)
        allowance = allowance_units(entry.epsilon, entry.delta, entry.filter_order)
        require(
            entry.allowance_units == allowance,
            f"the allowance is {entry.allowance_units} units, and its ε, δ and order give {allowance}",
        )

    def population(self, name: str) -> Population:
        """The population of that name, if it was opened."""
        require(name in self.populations, "the population was never opened")
        return self.populations[name]

    def reserve(self, entry: ReservationOpened) -> None:
        """Set a request's worst case aside: once, and only if it fits beside all that is spent and reserved."""
        population = self.population(entry.population)
        require(entry.request not in self.reservations, "a second reservation is opened for the request")
        wanted = Counter[Partition]({"training": entry.training_units, "evaluation": entry.evaluation_units})
        self.reservations[entry.request] = Reservation(Counter(wanted))
        for partition, units in wanted.items():
            population.reserved[partition] += units
        for partition in wanted:
            committed = population.spent[partition] + population.reserved[partition]
            require(
                committed <= population.allowance,
                f"{committed} {partition} units are spent and reserved, and {population.allowance} are allowed",
            )

    def charge(self, entry: ChargeMade) -> None:
        """Spend from an open reservation: one attempt at a step once, at what its mechanism costs."""
        population = self.population(entry.population)
        population.spent[entry.partition] += entry.units
        reservation = self.reservations.get(entry.request)
        if reservation is None or reservation.remaining is None:
            raise RefusedError("the charge is made outside an open reservation")
        covered = min(entry.units, reservation.remaining[entry.partition])
        reservation.remaining[entry.partition] -= covered
        population.reserved[entry.partition] -= covered
        partitions = reservation.charged.setdefault((entry.step, entry.attempt), set())
        again = entry.partition in partitions
        partitions.add(entry.partition)
        require(not again, "one attempt at a step is charged twice")
        require(covered == entry.units, "the charge exceeds what is left of its reservation")
        cost = cost_units(GaussianMechanism(**entry.mechanism.model_dump()), population.order)
        require(entry.units == cost, f"the charge is {entry.units} units, and its mechanism costs {cost}")

    def give_back(self, entry: ReservationClosed) -> None:
        """Return exactly what the charges left over, once."""
        population = self.population(entry.population)
        reservation = self.reservations.get(entry.request)
        if reservation is None or reservation.remaining is None:
            raise RefusedError("a reservation is closed that is not open")
        remaining, reservation.remaining = reservation.remaining, None
        population.reserved.subtract(remaining)
        require(
            (entry.training_units, entry.evaluation_units) == (remaining["training"], remaining["evaluation"]),
            "the units returned are not those that the charges left over",
        )

    def lose(self, entry: ReservationLost) -> None:
        """Spend all that an open reservation has left, exactly, and close it."""
        population = self.population(entry.population)
        reservation = self.reservations.get(entry.request)
        if reservation is None or reservation.remaining is None:
            raise RefusedError("a reservation is written off that is not open")
        remaining, reservation.remaining = reservation.remaining, None
        population.reserved.subtract(remaining)
        population.spent.update(remaining)
        require(
            (entry.training_units, entry.evaluation_units) == (remaining["training"], remaining["evaluation"]),
            "the units written off are not those that the reservation had left",
        )

    def write_off(self, entry: BudgetWrittenOff) -> None:
        """Spend units of a population outside any request; it never exceeds its allowance by that."""
        population = self.population(entry.population)
        lost: dict[Partition, int] = {"training": entry.training_units, "evaluation": entry.evaluation_units}
        population.spent.update(Counter[Partition](lost))
        for partition in ("training", "evaluation"):
            committed = population.spent[partition] + population.reserved[partition]
            require(
                committed <= population.allowance,
                f"the write-off takes {partition} to {committed} units, and {population.allowance} are allowed",
            )

    def charged(self, request: str, step: Step, attempt: int) -> set[Partition]:
        """The partitions on which the request was charged for this attempt at this step."""
        reservation = self.reservations.get(request)
        return set() if reservation is None else reservation.charged.get((step, attempt), set())
