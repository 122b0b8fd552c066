"""What a study costs: its mechanisms round by round, their sum as a reservation, and the ε that they amount to."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from policies.budget.renyi import GaussianMechanism, cost_units, epsilon
from policies.errors import InvalidInputError, RefusedError
from policies.terms import Terms

Partition = Literal["training", "evaluation"]
"""A unit is in exactly one partition, by a keyed hash, so what the two spend composes in parallel."""

PARTITIONS: tuple[Partition, ...] = ("training", "evaluation")

MAXIMUM_UNITS = 2**53 - 1
"""The largest cost that has a canonical spelling."""


@dataclass(frozen=True)
class Cost:
    """Ledger units for each partition.

    Raises:
        InvalidInputError: units below 0 or above 2⁵³ − 1.
    """

    training_units: int
    evaluation_units: int

    def __post_init__(self) -> None:
        if not all(0 <= self.of(partition) <= MAXIMUM_UNITS for partition in PARTITIONS):
            raise InvalidInputError(
                f"A cost of {self.training_units} and {self.evaluation_units} units is not possible; "
                "each must be from 0 to 2⁵³ − 1."
            )

    def of(self, partition: Partition) -> int:
        """The units for `partition`."""
        return self.training_units if partition == "training" else self.evaluation_units


def round_mechanisms(terms: Terms, round_number: int) -> dict[Partition, GaussianMechanism]:
    """What round `round_number` (from 1 to `terms.sums`) runs on each partition's units, and so has to charge.

    A round of an unbounded study has no mechanism: no charge could bound what it tells.
    """
    mechanisms: dict[Partition, GaussianMechanism] = {}
    if terms.privacy is None:
        return mechanisms
    if terms.trains_in(round_number):
        mechanisms["training"] = _training(terms, terms.training.local_steps)
    if terms.evaluates_in(round_number):
        mechanisms["evaluation"] = _evaluation(terms, 1)
    return mechanisms


def request_cost(terms: Terms, order: int) -> Cost:
    """The worst case of the whole study at a population's filter `order`: every round, and every retry, charged.

    An unbounded study costs nothing of the budget, which excludes it.

    Raises:
        RefusedError: more than any ledger can hold.
    """
    if terms.privacy is None:
        return Cost(0, 0)
    rounds, measurements = _most(terms)
    training = rounds * cost_units(_training(terms, terms.training.local_steps), order)
    evaluation = measurements * cost_units(_evaluation(terms, 1), order) if measurements else 0
    if max(training, evaluation) > MAXIMUM_UNITS:
        raise RefusedError(
            "This study adds so little noise that no privacy budget could pay for it; raise the noise multiplier or "
            "take fewer steps."
        )
    return Cost(training, evaluation)


@lru_cache(maxsize=128)
def request_epsilon(terms: Terms) -> float | None:
    """The ε at the terms' δ for the unit that the study costs most, at its own best order; None if it is unbounded."""
    if terms.privacy is None:
        return None
    return max(epsilon([mechanism], terms.privacy.delta)[0] for mechanism in worst_mechanisms(terms).values())


def worst_mechanisms(terms: Terms) -> dict[Partition, GaussianMechanism]:
    """All that the study may run on each partition's units together, retries included; nothing if it is unbounded."""
    if terms.privacy is None:
        return {}
    rounds, measurements = _most(terms)
    found: dict[Partition, GaussianMechanism] = {"training": _training(terms, rounds * terms.training.local_steps)}
    if measurements:
        found["evaluation"] = _evaluation(terms, measurements)
    return found


def _most(terms: Terms) -> tuple[int, int]:
    """The most training rounds and measurements that can be charged, retries included."""
    models = len(terms.evaluation.models)
    return terms.training.rounds + terms.training.retries, models + terms.training.retries if models else 0


def _training(terms: Terms, steps: int) -> GaussianMechanism:
    return GaussianMechanism(terms.training.noise_multiplier, terms.training.sampling_rate, steps)


def _evaluation(terms: Terms, steps: int) -> GaussianMechanism:
    return GaussianMechanism(terms.evaluation.noise_multiplier, 1.0, steps)
