"""The hash chain over charges, and the check that the whole ledger is what its own rules could have written."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from policies.budget.costs import PARTITIONS, Cost, Partition
from policies.budget.filter import allowance_units
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.budget.tables import charges, populations, reservations
from policies.errors import CloisterError, NotAuthenticError
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest
from policies.statements.schema import StrictModel, parse_model

FIRST_PREVIOUS_HASH = "0" * 64
_MAXIMUM_MECHANISM_BYTES = 1024


class _StoredMechanism(StrictModel):
    noise_multiplier: float
    sampling_rate: float
    steps: int


@dataclass(frozen=True)
class Charge:
    """One charge; `id` counts from 1, `charged_at` is in seconds since 1970."""

    id: int
    request: str
    partition: Partition
    step: str
    attempt: int
    mechanism: GaussianMechanism
    units: int
    charged_at: int
    previous_hash: str

    @property
    def row_hash(self) -> str:
        """The hash over this charge and, through `previous_hash`, over all before it."""
        return digest("charge", bytes.fromhex(self.previous_hash), canonical_bytes(self._own_columns()))

    def columns(self) -> dict[str, str | int]:
        """The row that the ledger stores."""
        return {**self._own_columns(), "previous_hash": self.previous_hash, "row_hash": self.row_hash}

    def _own_columns(self) -> dict[str, str | int]:
        stored = _StoredMechanism(
            noise_multiplier=self.mechanism.noise_multiplier,
            sampling_rate=self.mechanism.sampling_rate,
            steps=self.mechanism.steps,
        )
        return {
            "id": self.id,
            "request": self.request,
            "partition": self.partition,
            "step": self.step,
            "attempt": self.attempt,
            "mechanism": stored.canonical().decode(),
            "units": self.units,
            "charged_at": self.charged_at,
        }


def verify_chain(connection: Connection) -> int:
    """Recompute every hash, cost, sum and allowance of the ledger; the number of charges, if all is well.

    It finds rows that were changed, removed, inserted or reordered. Charges cut off at the end only the log can show.

    Raises:
        NotAuthenticError: naming the first row that the ledger's own rules could not have written.
    """
    budgets = {row["id"]: row for row in connection.execute(select(populations)).mappings()}
    held = {row["request"]: row for row in connection.execute(select(reservations)).mappings()}
    for population in budgets.values():
        _verify_population(population)
    for request, reservation in held.items():
        if reservation["population"] not in budgets:
            raise NotAuthenticError(f"The reservation of request {request[:16]}… belongs to no population.")
    spent = {request: dict.fromkeys(PARTITIONS, 0) for request in held}
    previous, count = FIRST_PREVIOUS_HASH, 0
    for count, row in enumerate(connection.execute(select(charges).order_by(charges.c.id)).mappings(), start=1):
        if row["request"] not in held:
            raise NotAuthenticError(f"Charge {count} belongs to no reservation; the ledger was changed from outside.")
        charge = _verify_charge(row, count, previous, budgets[held[row["request"]]["population"]]["filter_order"])
        spent[charge.request][charge.partition] += charge.units
        previous = charge.row_hash
    _verify_sums(budgets, held, spent)
    return count


def _verify_population(row: RowMapping) -> None:
    try:
        expected = allowance_units(row["epsilon"], row["delta"], row["filter_order"])
    except CloisterError as error:
        raise NotAuthenticError(f"Population {row['id']} has a budget that no ledger opens: {error}") from error
    if row["allowance_units"] != expected:
        raise NotAuthenticError(f"Population {row['id']} has another allowance than its ε, δ and order give.")


def _verify_charge(row: RowMapping, position: int, previous: str, order: int) -> Charge:
    try:
        stored = parse_model(
            _StoredMechanism, row["mechanism"].encode(), maximum_bytes=_MAXIMUM_MECHANISM_BYTES, what="Its mechanism"
        )
        mechanism = GaussianMechanism(**stored.model_dump())
        own = {name: row[name] for name in ("request", "partition", "step", "attempt", "units", "charged_at")}
        charge = Charge(id=position, mechanism=mechanism, previous_hash=previous, **own)
        whole = row["id"] == position and row["previous_hash"] == previous and row["row_hash"] == charge.row_hash
    except CloisterError as error:
        raise NotAuthenticError(f"Charge {position} is not one that a ledger makes: {error}") from error
    if not whole:
        raise NotAuthenticError(f"Charge {position} does not continue the chain; the ledger was changed from outside.")
    if charge.units != cost_units(mechanism, order):
        raise NotAuthenticError(f"Charge {position} has another cost than its mechanism gives.")
    return charge


def _verify_sums(
    budgets: Mapping[str, RowMapping],
    held: Mapping[str, RowMapping],
    spent: Mapping[str, Mapping[Partition, int]],
) -> None:
    taken = {population: dict.fromkeys(PARTITIONS, 0) for population in budgets}
    for request, row in held.items():
        reserved = Cost(row["training_units"], row["evaluation_units"])
        for partition in PARTITIONS:
            units = spent[request][partition]
            if units > reserved.of(partition):
                raise NotAuthenticError(f"Request {request[:16]}… was charged more {partition} units than it reserved.")
            taken[row["population"]][partition] += (
                units if row["state"] == "closed" and not row["lost"] else reserved.of(partition)
            )
    for population, row in budgets.items():
        if max(taken[population].values()) > row["allowance_units"]:
            raise NotAuthenticError(f"Population {population} has more taken from it than its allowance.")
