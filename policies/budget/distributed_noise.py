"""The second figure of ε: what bounds a study if no more sites collude than its terms count on (distributed noise).

Each site adds all the noise that is charged. Who sees only the sum over the honest sites sees the noise of all of them,
which hides a unit of one of them better: Kairouz, Liu & Steinke, "The Distributed Discrete Gaussian Mechanism for
Federated Learning with Secure Aggregation", ICML 2021 (arXiv 2102.06387). The figure is stated, never charged.

**What is seen.** Every sum is over the whole cohort, a round is answered once, and masks hide all but the sum over the
honest sites A: as many as `SecureAveraging.honest` says, site i among them. Site j adds w_j R(x_j) to it, where
x_j = μ_j + s_j N: N is standard normal in every coordinate, μ_j depends on its units and not on N, and R rounds at
random to neighbouring points of a grid, so that the mean stays (here the unit of length). That holds for counts, and
for an update where a round is *one* step of gradient descent: then x_j = −η (clipped sum + σ C N) / d_j with the
learning rate η and the divisor d_j = q × the site's public number of training units. Momentum changes nothing in a
round's first step. Several steps, or Adam's, are no linear function of the noise: there the figure is the cap.

**The ideal.** Let Y = Σ_A w_j x_j, and T* a random point of the grid: k with probability K(k − Y), where K is the
density of Σ_A w_j (U_j − U'_j) with all U uniform on [0, 1). These sum to 1, as the Fourier transform of K,
Π sinc²(w_j t/2), is 0 at every 2πm ≠ 0. So T* is a post-processing of Y: a Gaussian mechanism with deviation
(Σ_A w_j² s_j²)^½, which a unit of site i moves by w_i s_i/σ at most. Its noise multiplier is σ (Σ_A a_j²)^½ / a_i with
a_j = w_j/d_j (counts: a_j = 1). A is not known: the others are taken to be those with the smallest a_j. What colluders
say of themselves cannot lower that: every honest site vouches for its own number and only the rest are replaced.

**How far T = Σ_A w_j R(x_j) is from it.** P[R(x_j) = k] is the density of x_j + U_j − U'_j at k, with transform q_j. By
Poisson's formula the transform of T is Π_j Σ_m q_j(w_j t + 2πm), and that of T* has of these products those with
m_j = w_j m for one m (let the weights of A have no common divisor; else divide by it). In any other two sites have
w_j m_l ≠ w_l m_j, and then s_j² (w_j t + 2πm_j)² + s_l² (w_l t + 2πm_l)² ≥ 4π²/(w_j²/s_l² + w_l²/s_j²) ≥ 2π²ρ² with
ρ = (smallest s)/(largest w). Half of the exponent of |Π q_j| ≤ exp(−½ Σ s_j²(…)²) bounds each, the other half their
number: P[T = k] and P[T* = k] differ by 1.01 exp(−π²ρ²/2) at most. Together that is at most as many times as there are
points within reach, and the chance to leave them.

**What else differs.** The quantiser cuts at its range. That is unlikely if the range leaves room for the largest sum of
as many clipped units as are sampled (Bernstein's inequality; the catalog admits 1.25 × the declared units) and for the
noise (P[|N| > z] ≤ exp(−z²/2)). Its coins have 32 bits: R sees x rounded down to 2⁻³², a trapezoidal rule for the
integral of P[R = k] with an error below 2⁻⁶⁶ over all k. An update was rounded to multiples of some h before
(`policies.noise_grid`), a midpoint rule: P[R(x) = k] is linear in x between the grid's points, and at three of them its
slope changes, by 4 in all. In a cell where it does by 1 the rule errs by at most h²/8 times the density; over all k
that is h²/4 in total variation, and with what the density itself bends below h²/2 for s ≥ 1. Apart from these roundings
float64 stands for real numbers, as everywhere.

If T and T* differ by τ in total variation over all coordinates and rounds, T is (ε, δ + (1 + e^ε) τ)-private where T*
is (ε, δ)-private. `_SHARE` of the terms' δ is kept for that; where it does not suffice the figure is the cap.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from policies.budget.costs import Partition, request_epsilon, worst_mechanisms
from policies.budget.renyi import GaussianMechanism, epsilon
from policies.errors import InvalidInputError
from policies.manifest import MOST_OF_NOMINAL
from policies.noise_grid import noise_grid
from policies.quantiser import COUNT_BITS, COUNT_RANGE, levels
from policies.terms import CohortMember, Terms
from policies.training_choices import Sgd

_SHARE = 0.01
_LARGEST_MULTIPLIER = 1e6
_COIN_ERROR = 66 * math.log(2)


@dataclass(frozen=True)
class _Addend:
    """What one site may add to a coordinate of a sum: weight, noise (the least of all rounds), and its reach.

    `moved` is the most by which one unit moves it, `units` how many are counted on at most (each with a probability
    `sampling_rate`), `noise` the largest deviation of all rounds, `grid` the distance of the points it was rounded to.
    """

    weight: int
    least_noise: float
    noise: float
    moved: float
    units: float
    sampling_rate: float
    grid: float


@dataclass(frozen=True)
class _Sums:
    """All sums of one kind that a study opens: how many coordinates in how many sums, and their quantiser."""

    addends: tuple[_Addend, ...]
    coordinates: int
    sums: int
    bits: int
    value_range: float

    def are_gaussian(self, delta: float, cap: float) -> bool:
        """Whether they are as good as sums with Gaussian noise, to `_SHARE` of `delta`, for ε up to `cap`."""
        sites, weights = len(self.addends), [it.weight for it in self.addends]
        # −ln of what each of four kinds of failure may have for one coordinate of one sum.
        rare = math.log(4 * self.coordinates * self.sums / (_SHARE * delta)) + cap + 1
        step = self.value_range / levels(self.bits)
        ratio = min(it.least_noise for it in self.addends) / step / max(weights)
        points = sum(weights) << self.bits
        return (
            math.pi**2 * ratio**2 / 2 >= rare + math.log(1.01 * points)
            and rare + math.log(2 * sites) <= _COIN_ERROR
            and all(sites * (it.grid / step) ** 2 <= math.exp(-rare) for it in self.addends)
            and all(_reach(it, rare + math.log(4 * sites)) <= self.value_range for it in self.addends)
        )


def _reach(addend: _Addend, rare: float) -> float:
    """What an addend exceeds with a probability of 2 exp(−`rare`) at most: by too many units or by too much noise."""
    mean = addend.units * addend.sampling_rate
    sampled = min(addend.units, mean + rare / 3 + math.sqrt(rare**2 / 9 + 2 * rare * mean))
    return addend.moved * sampled + addend.noise * math.sqrt(2 * rare)


@lru_cache(maxsize=256)
def honest_epsilon(terms: Terms, site: str) -> float | None:
    """The ε at the terms' δ for units of `site` if as many sites are honest as the terms count on, it among them.

    At most `request_epsilon`, which holds whoever colludes and is what is charged; the same where no less is proven.
    None if the study is unbounded.

    Raises:
        InvalidInputError: the terms do not name the site.
    """
    member, cap = terms.member(site), request_epsilon(terms)
    if member is None:
        raise InvalidInputError("The terms do not name this site; they say nothing of its units.")
    if terms.privacy is None or cap is None:
        return None
    gains = _gains(terms, member, cap)
    found = (_epsilon(it, gains[partition], terms.privacy.delta) for partition, it in worst_mechanisms(terms).items())
    return min(cap, max(found))


def _epsilon(mechanism: GaussianMechanism, gain: float, delta: float) -> float:
    multiplier = min(_LARGEST_MULTIPLIER, gain * mechanism.noise_multiplier)
    return epsilon([replace(mechanism, noise_multiplier=multiplier)], (1 - _SHARE) * delta if gain > 1 else delta)[0]


def _gains(terms: Terms, member: CohortMember, cap: float) -> Mapping[Partition, float]:
    """By what factor the noise of a sum over honest sites is more than that of `member`, beside what a unit moves."""
    assert terms.privacy is not None  # noqa: S101 – asked before
    delta, training, evaluation = terms.privacy.delta, 1.0, 1.0
    if _steps_are_linear(terms) and _updates(terms).are_gaussian(delta, cap):
        training = _gain(terms, member, {it.site: it.weight / it.training_units for it in terms.cohort})
    if terms.evaluation.models and _counts(terms).are_gaussian(delta, cap):
        evaluation = _gain(terms, member, {it.site: 1.0 for it in terms.cohort})
    return {"training": training, "evaluation": evaluation}


def _gain(terms: Terms, member: CohortMember, moved: Mapping[str, float]) -> float:
    others = sorted(length for site, length in moved.items() if site != member.site)
    others = others[: terms.secure_averaging.honest - 1]
    return math.hypot(moved[member.site], *others) / moved[member.site]


def _steps_are_linear(terms: Terms) -> bool:
    return terms.training.local_steps == 1 and isinstance(terms.training.optimizer, Sgd)


def _updates(terms: Terms) -> _Sums:
    training, averaging = terms.training, terms.secure_averaging
    rates = [rate for number in range(1, training.rounds + 1) for rate in training.learning_rates(number)]

    def addend(member: CohortMember) -> _Addend:
        divisor = training.sampling_rate * member.training_units
        moved = training.clipping_norm / divisor
        grid = noise_grid(training.noise_multiplier, training.clipping_norm, member.training_units)
        return _Addend(
            weight=member.weight,
            least_noise=min(rates) * moved * training.noise_multiplier,
            noise=max(rates) * moved * training.noise_multiplier,
            moved=max(rates) * moved,
            units=_most_units(member),
            sampling_rate=training.sampling_rate,
            grid=max(rates) * grid / divisor,
        )

    return _Sums(
        addends=tuple(map(addend, terms.cohort)),
        coordinates=terms.programs.parameter_count,
        sums=training.rounds + training.retries,
        bits=averaging.bits,
        value_range=averaging.update_range,
    )


def _counts(terms: Terms) -> _Sums:
    evaluation = terms.evaluation
    return _Sums(
        addends=tuple(
            _Addend(1, evaluation.noise_deviation, evaluation.noise_deviation, 1.0, _most_units(it), 1.0, 0.0)
            for it in terms.cohort
        ),
        coordinates=evaluation.counts,
        sums=len(evaluation.models) + terms.training.retries,
        bits=COUNT_BITS,
        value_range=COUNT_RANGE,
    )


def _most_units(member: CohortMember) -> float:
    """The split into training and holdout goes by a hash: all of a data set's units may be on one side."""
    return MOST_OF_NOMINAL * (member.training_units + member.holdout_units)
