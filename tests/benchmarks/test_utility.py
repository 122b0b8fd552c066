"""The benchmark of utility trains with the product's code, beats guessing, and its table says what the salts said."""

import json
from dataclasses import replace
from io import StringIO

import pytest
import torch
from rich.console import Console

from policies.budget.renyi import GaussianMechanism, epsilon
from tests.benchmarks.utility import SALTS, accuracies
from tests.benchmarks.utility_choices import CHOICES
from tests.benchmarks.utility_data import DATA_SETS, Split
from tests.benchmarks.utility_search import FIRST_SALTS, OTHER_SALTS
from tests.benchmarks.utility_table import RECORDED, Cell, CellKey, as_json, as_markdown, as_table, gap_line, goal_line
from tests.benchmarks.utility_training import DELTA, Choice, accuracy, honest_figure, terms_of

TUMOURS = Choice("logistic regression", rounds=8, local_steps=1, sampling_rate=1.0, learning_rate=2.0)
NUMERALS = Choice("multinomial regression", rounds=8, local_steps=1, sampling_rate=0.5, learning_rate=6.0)
SMALL: dict[CellKey, Choice] = {
    ("breast cancer", "alone", 8.0): TUMOURS,
    ("breast cancer", "federated", 8.0): TUMOURS,
    ("breast cancer", "federated", None): TUMOURS,
    ("breast cancer", "distributed", 8.0): replace(TUMOURS, update_range=32.0, promised=9.68),
    ("breast cancer", "pooled", 8.0): TUMOURS,
    ("digits", "federated", 8.0): NUMERALS,
}
WRITTEN: dict[CellKey, Cell] = {
    ("breast cancer", "federated", 3.0): Cell(TUMOURS, [0.95, 0.97, 0.96]),
    ("breast cancer", "pooled", 3.0): Cell(TUMOURS, [0.9, 1.0]),
    ("breast cancer", "federated", None): Cell(TUMOURS, [0.5]),
}


def units_of(split: Split, salt_free: str) -> set[bytes]:
    site = split.pooled if salt_free == "pooled" else split.sites[salt_free]
    rows = site.units.chunk(torch.arange(len(site.units)), len(site.units))
    assert bool(rows.mask.all())
    return {row.numpy().tobytes() for row in rows.features[:, 0]}


@pytest.mark.parametrize("data_set", list(DATA_SETS))
def test_no_record_is_at_two_sites_or_both_trained_on_and_measured_on(data_set):
    with DATA_SETS[data_set](SALTS[0]) as split, DATA_SETS[data_set](SALTS[1]) as other:
        shares = [units_of(split, name) for name in split.sites]
        kept = {row.numpy().tobytes() for row in split.features}
        assert len(set().union(*shares, kept)) == sum(map(len, shares)) + len(kept)
        assert set().union(*shares) == units_of(split, "pooled")
        assert len(split.pooled.units) + len(split.target) == {"breast cancer": 569, "digits": 1797}[data_set]
        assert kept != {row.numpy().tobytes() for row in other.features}
        assert float(split.features.abs().max()) <= 1


def test_every_setting_beats_guessing_with_the_least_training():
    found = accuracies("breast cancer", SALTS[0], SMALL) | accuracies("digits", SALTS[0], SMALL)
    assert found.keys() == SMALL.keys()
    for (data_set, _, _), value in found.items():
        # Guessing is right for about 63 of 100 patients, and for 10 of 100 digits.
        assert value > {"breast cancer": 0.8, "digits": 0.5}[data_set]


def test_a_privacy_level_changes_the_noise_and_nothing_else():
    with DATA_SETS["breast cancer"](SALTS[0]) as split:
        tight, loose = (terms_of(TUMOURS, level, split).training for level in (1.0, 8.0))
    assert tight.model_copy(update={"noise_multiplier": loose.noise_multiplier}) == loose
    for level, training in ((1.0, tight), (8.0, loose)):
        mechanism = GaussianMechanism(training.noise_multiplier, 1.0, training.rounds * training.local_steps)
        assert 0.95 * level < epsilon([mechanism], DELTA)[0] <= level


@pytest.mark.parametrize("data_set", list(DATA_SETS))
def test_distributed_noise_gives_the_worst_off_site_the_epsilon_of_its_cell(data_set):
    with DATA_SETS[data_set](SALTS[0]) as split:
        for (name, setting, level), choice in CHOICES.items():
            if (name, setting) == (data_set, "distributed"):
                assert 0.985 * level < honest_figure(choice, split) <= level < choice.promised
                capped = epsilon([GaussianMechanism(noise_of(choice, split), 1.0, choice.rounds)], DELTA)[0]
                assert 0.99 * choice.promised < capped <= choice.promised


def noise_of(choice: Choice, split: Split) -> float:
    return terms_of(choice, choice.promised, split).training.noise_multiplier


def test_noise_is_drawn_anew_and_training_without_privacy_draws_none():
    with DATA_SETS["digits"](SALTS[0]) as split:
        private = {accuracy(split, "federated", NUMERALS, 1.0) for _ in range(4)}
        plain = {accuracy(split, "federated", NUMERALS, None) for _ in range(2)}
    assert len(private) > 1
    assert max(plain) - min(plain) < 0.01, "only the quantiser's rounding is random"


def test_choices_cover_the_table_and_were_made_on_other_salts():
    assert set(RECORDED) < set(CHOICES)
    assert len(CHOICES) == 2 * (3 * 4 + 3)
    assert not {*FIRST_SALTS, *OTHER_SALTS} & set(SALTS)
    assert len(SALTS) == 10


def test_table_markdown_and_json_say_the_same():
    written = StringIO()
    Console(file=written, width=200).print(as_table(WRITTEN))
    for text in (written.getvalue(), as_markdown(WRITTEN)):
        (line,) = (line for line in text.splitlines() if ".960 ± .010" in line)
        assert ".950 ± .071" in line
        assert "federated .970; distributed .966; pooled .971" in line
        assert "no privacy" in text
    report = as_json(WRITTEN, {"commit": "abc"})
    assert json.loads(json.dumps(report)) == report
    assert report["goal"]["met"] is True
    assert report["cells"][0]["mean"] == pytest.approx(0.96)
    assert report["cells"][0]["accuracies"] == [0.95, 0.97, 0.96]


@pytest.mark.parametrize(("values", "verdict"), [([0.94, 0.94], "Met: .940"), ([0.94, 0.93], "Not met: .935")])
def test_the_goal_is_met_or_not(values, verdict):
    assert verdict in goal_line({("breast cancer", "federated", 3.0): Cell(TUMOURS, values)})
    assert "Not measured." in goal_line({})


def test_federated_is_within_a_point_of_pooled_or_is_named():
    def pair(data_set: str, epsilon: float | None, federated: float, pooled: float) -> dict[CellKey, Cell]:
        return {
            (data_set, "federated", epsilon): Cell(TUMOURS, [federated]),
            (data_set, "pooled", epsilon): Cell(TUMOURS, [pooled]),
        }

    near = pair("breast cancer", 3.0, 0.95, 0.9599) | pair("digits", 3.0, 0.91, 0.90)
    far = pair("digits", 1.0, 0.80, 0.8111) | pair("digits", None, 0.9, 0.95)
    assert "ε. Met. With" in gap_line(near)
    assert "Not met for digits, ε = 1; digits, no privacy. With" in gap_line(near | far)
    assert "ε. Not measured. With" in gap_line({("digits", "alone", 1.0): Cell(TUMOURS, [0.5])})
    less = {("breast cancer", "distributed", 3.0): Cell(replace(TUMOURS, promised=3.5), [0.94])}
    assert gap_line(near | less).endswith("With distributed noise: Not met for breast cancer, ε = 3.")
    assert ".940 ± .000 (3.5)" in as_markdown(near | less)
    assert "| 1.1, not met |" in as_markdown(far)
    assert [it["met"] for it in as_json(near | far, {})["behind_pooled"]] == [True, True, False, False]
