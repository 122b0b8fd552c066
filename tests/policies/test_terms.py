"""What terms ask to have measured: names that cannot be taken for one another, and what one measurement gives."""

from math import sqrt
from typing import Any

import pytest
from pydantic import ValidationError

from policies.terms import MAXIMUM_COUNTS, Evaluation, Histogram, SecureAveraging, Training
from tests.plain_steps import PLAIN_STEPS


def evaluation(metrics: tuple[str, ...], **histograms: int) -> Evaluation:
    asked = tuple(Histogram(name=name, bins=bins) for name, bins in histograms.items())
    return Evaluation(models=(0,), metrics=metrics, histograms=asked, noise_multiplier=2.0)


def test_a_measurement_gives_two_numbers_a_metric_and_two_a_bin() -> None:
    asked = evaluation(("accuracy", "brier"), ill=20, worse=5)
    assert asked.outputs == ("accuracy", "brier", "ill_score", "ill_label", "worse_score", "worse_label")
    assert asked.counts == 2 * (2 + 20 + 5)
    assert asked.noise_deviation == pytest.approx(2.0 * sqrt(4))


def test_the_most_that_may_be_asked_for() -> None:
    most = evaluation(tuple(f"m{number}" for number in range(64)), **{f"h{number}": 1000 for number in range(8)})
    assert most.counts == MAXIMUM_COUNTS


@pytest.mark.parametrize(
    ("metrics", "histograms"),
    [
        (("accuracy", "accuracy"), {}),
        (("ill",), {"ill": 10}),
        (("ill_score",), {"ill": 10}),
        (("ill_label",), {"ill": 10}),
        (("accuracy",), {"ill": 1}),
        (("accuracy",), {"ill": 1001}),
        (("accuracy",), {"Ill": 10}),
        (("accuracy",), {"i" * 58: 10}),
        (("accuracy",), {f"h{number}": 2 for number in range(9)}),
    ],
)
def test_what_could_be_taken_for_another_or_is_too_much_is_refused(
    metrics: tuple[str, ...], histograms: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        evaluation(metrics, **histograms)


TRAINING = {
    "strategy": "fedavg", "rounds": 2, "local_steps": 1, "retries": 0, "sampling_rate": 1.0, "noise_multiplier": 1.0,
    "clipping_norm": 1.0, "learning_rate": 1.0, **PLAIN_STEPS,
}  # fmt: skip
AVERAGING = {"minimum_cohort": 2, "colluders": 0, "bits": 16, "update_range": 1.0}


@pytest.mark.parametrize(
    ("numbers", "asked", "field", "least"),
    [(Training, TRAINING, "clipping_norm", 1e-6), (SecureAveraging, AVERAGING, "update_range", 1e-9)],
)
def test_norms_and_ranges_lie_where_float32_flushes_nothing(
    numbers: Any, asked: dict[str, Any], field: str, least: float
) -> None:
    """Below, what others add up to could be flushed to zero with one unit, and not without it."""
    assert getattr(numbers(**(asked | {field: least})), field) == least
    with pytest.raises(ValidationError, match=field):
        numbers(**(asked | {field: least / 2}))
