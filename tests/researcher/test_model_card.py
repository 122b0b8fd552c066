"""A model's card: everything that its next holder must know stands on it, and travels with the parameters."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from policies.budget.costs import request_epsilon
from researcher import check_model
from tests.model_cards import new_sites

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


def test_a_card_without_noise_promises_nothing(tmp_path: Path) -> None:
    sites = new_sites(tmp_path, privacy=None, training=NO_NOISE, evaluation=NO_NOISE)
    text = sites.result().card()
    assert "ε=" not in text
    assert "| anna | clinic-a | 1 | no guarantee | no guarantee |" in text
    assert "**No guarantee:**" in text
    assert "noised" not in text


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
