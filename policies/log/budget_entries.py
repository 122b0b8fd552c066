"""Log entries on a population's budget: that it was opened, what requests reserve of it, and what they are charged."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.budget.costs import Partition
from policies.decision import PopulationId, Units
from policies.log.entry import Entry
from policies.statements.schema import Digest, StrictModel

Step = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}( [1-9][0-9]{0,8})?$")]
"""Which part of a request a charge is for: `round 3`."""

Attempt = Annotated[int, Field(ge=1, le=1_000_000)]


class Mechanism(StrictModel):
    """A Poisson-subsampled Gaussian mechanism, composed `steps` times; `sampling_rate` 1 is the plain one."""

    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)]
    sampling_rate: Annotated[float, Field(gt=0, le=1)]
    steps: Annotated[int, Field(ge=1, le=100_000_000)]


class _Reservation(Entry):
    request: Digest
    population: PopulationId
    training_units: Units
    evaluation_units: Units


class PopulationOpened(Entry):
    """A lifetime budget was opened: (ε, δ), the Rényi order fixed for its lifetime, the allowance at that order."""

    kind: Literal["population-opened"] = "population-opened"
    population: PopulationId
    epsilon: Annotated[float, Field(gt=0, le=100)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    filter_order: Annotated[int, Field(ge=2, le=10_000)]
    allowance_units: Units


class ReservationOpened(_Reservation):
    """The request's worst-case cost was set aside from its population's allowance."""

    kind: Literal["reservation-opened"] = "reservation-opened"


class ChargeMade(Entry):
    """One mechanism was charged, before the data was touched."""

    kind: Literal["charge-made"] = "charge-made"
    population: PopulationId
    request: Digest
    partition: Partition
    step: Step
    attempt: Attempt
    mechanism: Mechanism
    units: Units


class ReservationClosed(_Reservation):
    """What the request had not spent was returned to its population."""

    kind: Literal["reservation-closed"] = "reservation-closed"


class ReservationLost(_Reservation):
    """What a request had reserved and not charged counts as spent: it may have been, in the history that was lost."""

    kind: Literal["reservation-lost"] = "reservation-lost"


BudgetEntry = PopulationOpened | ReservationOpened | ChargeMade | ReservationClosed | ReservationLost


def round_step(round_number: int) -> str:
    """The `step` under which everything that round `round_number` does is charged."""
    return f"round {round_number}"


def step_round(step: Step) -> int | None:
    """The round that `step` names; None if it is another part of a request."""
    word, _, number = step.partition(" ")
    return int(number) if word == "round" and number else None
