"""P4 for what is measured: a site's histogram is seen in the cohort's sum, and nowhere else."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from datasites.secure_averaging.layout import decode
from policies.errors import NotAuthenticError, UnavailableError
from tests.datasites.secure_averaging.conftest import Cohort, make_cohort
from tests.whole_vectors import MaskedUpdate, encode, open_sum, opened

PARAMETERS = 4
HISTOGRAMS = tuple({"name": f"disease{number}", "bins": 1000} for number in range(8))


def uniformity(vector: NDArray[np.uint32]) -> float:
    return float(chisquare(np.bincount(vector.astype("<u4").view(np.uint8), minlength=256)).pvalue)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Three sites, whose only round of interest sends 4 parameters and 16,002 counts."""
    return make_cohort(3, PARAMETERS, models=(0,), histograms=HISTOGRAMS)


@pytest.fixture(scope="module")
def counts(cohort: Cohort) -> NDArray[np.float64]:
    """A few hundred people a site, most of them in few bins: what a histogram would tell is easy to see."""
    generator = np.random.default_rng(5)
    return np.floor(generator.exponential(0.2, (3, cohort.terms.evaluation.counts)) * 4) / 4


@pytest.fixture(scope="module")
def answers(cohort: Cohort, counts: NDArray[np.float64]) -> dict[str, MaskedUpdate]:
    update = np.zeros(PARAMETERS, np.float32)
    return {site: cohort.answer(site, update, own) for site, own in zip(cohort.sites, counts, strict=True)}


def test_the_sum_over_all_sites_is_the_sum_of_their_histograms(
    cohort: Cohort, counts: NDArray[np.float64], answers: dict[str, MaskedUpdate]
) -> None:
    whole = opened(cohort.terms, 1, open_sum(answers, cohort.terms, 1, cohort.context(), cohort.pinned))
    assert whole.metrics is not None
    assert np.abs(whole.metrics - counts.sum(0)).max() < 3 * 0.2501


def test_one_sites_histogram_and_that_of_any_two_is_noise(
    cohort: Cohort, counts: NDArray[np.float64], answers: dict[str, MaskedUpdate]
) -> None:
    vectors = [np.frombuffer(answer.vector, "<u4") for answer in answers.values()]
    for part in (*vectors, *(one + other for one, other in combinations(vectors, 2))):
        assert uniformity(part[PARAMETERS:]) > 1e-9
        with pytest.raises(NotAuthenticError, match="does not open"):
            decode(cohort.terms, 1, part)
    # That the statistic sees what is not masked.
    assert uniformity(encode(cohort.terms, 1, np.zeros(PARAMETERS, np.float32), counts[0], 1)) < 1e-100


def test_no_sum_opens_without_every_site(cohort: Cohort, answers: dict[str, MaskedUpdate]) -> None:
    for site in cohort.sites:
        some = {name: answer for name, answer in answers.items() if name != site}
        with pytest.raises(UnavailableError, match=site):
            open_sum(some, cohort.terms, 1, cohort.context(), cohort.pinned)
