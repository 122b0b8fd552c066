"""P3, the second figure of ε: colluders, a lying researcher and a crafted model try to make it less than is true."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from datasites.requests.review import review
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from datasites.training.trainer import local_training
from policies.budget.costs import request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from policies.budget.renyi import GaussianMechanism, epsilon
from policies.errors import RefusedError
from policies.terms import Terms
from tests.attacks.crafted_study import SQUARE, prepared
from tests.declared_units import UNITS
from tests.one_site import Scene, new_scene
from tests.one_study import make_terms
from tests.whole_vectors import encode

SITES = ["11" * 32, "22" * 32, "33" * 32]
STEP = {"local_steps": 1, "rounds": 1}
FEATURES = 4_000
NEVER = 1e-6


def terms(**changes: Any) -> Terms:
    sections = {"training": STEP, "programs": {"parameter_count": FEATURES}, "evaluation": {"models": []}}
    return make_terms("1" * 32, "aa" * 32, SITES, 1_000, sections | changes)


def nobody() -> UnitData:
    return UnitData((torch.zeros(0, 1, FEATURES), torch.zeros(0, 1)), torch.zeros(0, 1, dtype=torch.bool))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


@pytest.fixture(scope="module")
def loss() -> TrainedLoss:
    return prepared(SQUARE, features=FEATURES)


def sent(asked: Terms, loss: TrainedLoss, model: torch.Tensor, round_number: int = 1) -> NDArray[np.int64]:
    """What one site with nobody in it adds to the sum, in steps of the grid, by the code that sites run."""
    update = local_training(loss, model, nobody(), asked.training, UNITS["training_units"], round_number)
    return encode(asked, round_number, update.numpy(), None, 1).view(np.int32).astype(np.int64)


def deviation(asked: Terms) -> float:
    """Of one site's noise, in steps of the grid."""
    training, averaging = asked.training, asked.secure_averaging
    noise = training.learning_rate * training.noise_multiplier * training.clipping_norm / UNITS["training_units"]
    return noise / averaging.update_range * (2 ** (averaging.bits - 1) - 1)


def has_deviation(values: NDArray[np.int64], expected: float) -> bool:
    square = float(np.sum((values / expected) ** 2))
    return min(stats.chi2.sf(square, values.size), stats.chi2.cdf(square, values.size)) > NEVER


MODELS = [torch.zeros(FEATURES), torch.full((FEATURES,), 3e38), torch.full((FEATURES,), 1e6)]


@pytest.mark.parametrize("model", MODELS, ids=["the start", "the largest numbers", "large numbers"])
def test_colluders_are_left_with_the_noise_of_the_honest_whatever_the_model(
    loss: TrainedLoss, model: torch.Tensor
) -> None:
    """A step that were rounded to the size of a huge parameter would lose its noise, and the sum all but one site's."""
    asked = terms()
    honest = sent(asked, loss, model) + sent(asked, loss, model)
    assert has_deviation(honest, sqrt(2) * deviation(asked))
    assert not has_deviation(honest, sqrt(3) * deviation(asked))
    figure = honest_epsilon(asked, SITES[0])
    assert figure == epsilon([GaussianMechanism(8 * sqrt(2), 1.0, 1)], 0.99e-6)[0] < request_epsilon(asked)


def test_a_colluder_that_adds_no_noise_and_tells_its_update_takes_none_of_the_honest(loss: TrainedLoss) -> None:
    asked, silent = terms(), np.full(FEATURES, 12_345)
    total = sent(asked, loss, MODELS[0]) + sent(asked, loss, MODELS[0]) + silent
    assert has_deviation(total - silent, sqrt(2) * deviation(asked))


@pytest.mark.parametrize("averaging", [{"bits": 8}, {"update_range": 0.15}], ids=["coarse bits", "a small range"])
def test_what_the_quantiser_takes_of_the_noise_is_not_claimed(averaging: dict[str, Any]) -> None:
    asked = terms(secure_averaging=averaging)
    assert honest_epsilon(asked, SITES[0]) == request_epsilon(asked)


@pytest.mark.parametrize("units", [1, 74, 76, 100_000_000])
@pytest.mark.parametrize("which", ["training_units", "holdout_units"])
def test_a_site_refuses_terms_that_give_it_another_number_of_units(scene: Scene, which: str, units: int) -> None:
    """The others would count on noise that it does not add."""
    members = [member.model_dump() for member in scene.terms().cohort]
    (own,) = (it for it in members if it["site"] == scene.site.identity.party)
    own[which] = units
    with pytest.raises(RefusedError, match="its manifest declares 75 and 25"):
        scene.receive(scene.terms(cohort=members))
    assert scene.count("requests") == 0


@pytest.mark.parametrize("units", [(1, 75), (75, 1), (100_000, 75)])
def test_a_lie_about_a_colluders_units_lowers_no_honest_sites_figure(units: Sequence[int]) -> None:
    """A small number gives a site's noise weight in the sum: this one counts on the other that has less."""
    members = [member.model_dump() for member in terms().cohort]
    for member, number in zip(members[1:], units, strict=True):
        member["training_units"] = number
    lying = honest_epsilon(terms(cohort=members, secure_averaging={"update_range": 100.0}), SITES[0])
    assert lying is not None
    assert lying >= honest_epsilon(terms(), SITES[0])


def test_the_figure_counts_on_the_smallest_cohort_and_on_all_its_colluders() -> None:
    asked = {"training": STEP, "evaluation": {"models": []}}
    parties = [*SITES, "44" * 32]
    fewer = asked | {"secure_averaging": {"minimum_cohort": 4, "colluders": 2}}
    figures = [honest_epsilon(make_terms("1" * 32, "aa" * 32, parties, 1_000, it), SITES[0]) for it in (asked, fewer)]
    assert figures == [honest_epsilon(terms(), SITES[0])] * 2


def test_the_owner_sees_both_figures_and_is_charged_the_larger(scene: Scene) -> None:
    request = scene.submit(training={"local_steps": 1})
    with scene.site.engine.connect() as connection:
        shown = review(connection, scene.site, request)
    assert shown.outlook is not None
    worst, honest = shown.outlook.epsilon_if_all_others_collude, shown.outlook.epsilon_under_honest_threshold
    assert honest < worst == request_epsilon(request.terms)
    (_, sentence) = shown.outlook.sentences()
    assert f"ε={worst:.3g}, even if all other sites collude with the researcher: that is what is charged" in sentence
    assert f"Counting on 2 honest sites, as the terms do, this one among them, it is at most ε={honest:.3g}" in sentence
    scene.approve(request)
    held = scene.balance()
    assert (held.training.reserved_units, held.evaluation.reserved_units) == (
        shown.cost.training_units,
        shown.cost.evaluation_units,
    )
