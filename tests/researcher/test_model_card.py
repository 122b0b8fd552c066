"""A model's card: everything that its next holder must know stands on it, and travels with the parameters."""

import dataclasses
from pathlib import Path

import pytest
from safetensors.torch import load_file

from policies.budget.costs import request_epsilon
from policies.budget.distributed_noise import honest_epsilon
from researcher import RoundRecord, ScoreCurve, check_model
from researcher.estimates import Estimate
from researcher.results import Result
from tests.model_cards import Sites, new_sites

NO_NOISE = {"noise_multiplier": 0.0}


def test_a_card_says_what_was_approved_and_by_whom(tmp_path: Path) -> None:
    sites = new_sites(tmp_path)
    text = sites.result().card()
    for said in ("Sepsis", "Early warning", "Consent.", "The study group", "None", sites.terms.digest()):
        assert said in text
    epsilon = request_epsilon(sites.terms)
    for site, name in enumerate(("anna", "bern", "cork")):
        assert f"| {name} | clinic-a | 1 | ε={epsilon:.3g}, δ=1e-06 | ε={epsilon:.3g}, δ=1e-06 |" in text
        assert sites.approval(site).decision.subject() in text
        assert sites.approval(site).signed[0].signer[:16] in text
    assert "2027-01-15 08:00 UTC" in text
    assert "| 3 | 0.900 ± 0.050 |" in text
    assert "3 of 3 rounds" in text
    assert "Local steps: 2 a round, by SGD without momentum, learning rate 0.1." in text


def test_a_card_and_a_report_tell_both_figures_where_steps_are_summed_one_by_one(tmp_path: Path) -> None:
    sites = new_sites(tmp_path, training={"local_steps": 1})
    result, worst = sites.result(), request_epsilon(sites.terms)
    for name, member in zip(("anna", "bern", "cork"), sites.terms.cohort, strict=True):
        honest = honest_epsilon(sites.terms, member.site)
        assert honest < worst
        assert f"| {name} | clinic-a | 1 | ε={worst:.3g}, δ=1e-06 | ε={honest:.3g}, δ=1e-06 |" in result.card()
        assert f"{name} {honest:.3f}" in result.privacy_report()
    assert "| If all others collude | If 2 sites are honest |" in result.card()
    assert f"({worst:.3f}, 1e-06)" in result.privacy_report()


def test_a_card_without_noise_promises_nothing(tmp_path: Path) -> None:
    sites = new_sites(tmp_path, privacy=None, training=NO_NOISE, evaluation=NO_NOISE)
    text = sites.result().card()
    assert "ε=" not in text
    assert "| anna | clinic-a | 1 | no guarantee | no guarantee |" in text
    assert "**No guarantee:**" in text
    assert "noised" not in text


SEPSIS = {"histograms": [{"name": "sepsis", "bins": 3}]}


def scored(sites: Sites, noise: float, positives: tuple[float, float, float] = (5.0, 15.0, 60.0)) -> Result:
    """A result whose first model was measured, and told sepsis from other illness."""
    curve = ScoreCurve(negatives=(70.0, 20.0, 10.0), positives=positives, noise=noise)
    record = RoundRecord(1, {"probability": Estimate(value=0.5, noise=noise / 100)}, {"sepsis": curve}, 0.5, 0.25)
    return dataclasses.replace(sites.result(), history=(record,))


def test_a_card_shows_each_scores_area_and_calibration_with_their_noise(tmp_path: Path) -> None:
    sites = new_sites(tmp_path, evaluation=SEPSIS)
    result = scored(sites, 2.0)
    area, error = result.curves[0]["sepsis"].auroc, result.curves[0]["sepsis"].calibration_error
    assert area is not None
    assert area.noise > 0
    text = result.card()
    assert "| Model after round | probability | AUROC of sepsis | Calibration error of sepsis |" in text
    assert f"| 0 | 0.500 ± 0.020 | {area} | {error} |" in text
    assert "the standard deviation of that noise" in text
    floor = result.curves[0]["sepsis"].calibration_floor
    assert f"By noise alone, a calibration error of the last row would be on average: {floor:.3f} for sepsis." in text
    assert check_model(result.save(tmp_path / "model"), sites.cards).measurements[0].aurocs == {"sepsis": area}


def test_a_card_does_not_show_an_area_that_drowned_in_the_noise(tmp_path: Path) -> None:
    result = scored(new_sites(tmp_path, evaluation=SEPSIS), 2.0, (0.5, -2.0, 1.0))
    assert "| 0 | 0.500 ± 0.020 | not measurable | " in result.card()


def test_a_card_of_an_unbounded_study_shows_exact_figures_and_no_guarantee(tmp_path: Path) -> None:
    sites = new_sites(tmp_path, privacy=None, training=NO_NOISE, evaluation={**NO_NOISE, **SEPSIS})
    text = scored(sites, 0.0).card()
    assert "without noise" in text
    assert "**No guarantee:**" in text
    assert "±" not in text
    assert "| 0 | 0.500 | 0.8" in text


def test_a_card_says_that_training_stopped_early(tmp_path: Path) -> None:
    said = "Stopped early after round 4 of 6: accuracy had not grown."
    result = dataclasses.replace(new_sites(tmp_path).result(), stopped_early=said)
    assert f"\n{said}\n" in result.card()
    assert "Stopped early" not in new_sites(tmp_path / "other").result().card()


def test_a_card_before_any_round_says_so(tmp_path: Path) -> None:
    sites = new_sites(tmp_path)
    fresh = sites.result().__class__(sites.terms, sites.result().plan, ("anna", "bern", "cork"), (), {}, (), None)
    assert "0 of 3 rounds" in fresh.card()
    assert "Nobody has yet." in fresh.card()
    assert "It was not measured." in fresh.card()


@pytest.mark.parametrize("terms", [{}, {"privacy": None, "training": NO_NOISE, "evaluation": NO_NOISE}])
def test_a_saved_model_is_checked_by_who_gets_it(tmp_path: Path, terms: dict[str, object]) -> None:
    sites = new_sites(tmp_path, **terms)
    folder = sites.result().save(tmp_path / "model")
    card = check_model(folder, sites.cards)
    assert card.terms == sites.terms
    assert (folder / "card.md").read_text() == sites.result().card()
    assert load_file(folder / "model.safetensors")["weight"].shape == (1, 6)
