"""P2, of what leaves: a model's card cannot show an approval that its sites' owners did not give."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.decision import SignedDecisions
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError
from policies.rules.approval import RulesGround
from researcher import check_model
from researcher.approvals import Approval, require_approval
from tests.model_cards import Sites, new_sites

EPSILON = 5.0
"""What the terms promise."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    return new_sites(tmp_path_factory.mktemp("sites"))


def others(sites: Sites) -> tuple[Approval, ...]:
    return sites.approval(1), sites.approval(2)


def of_other_terms(sites: Sites) -> SignedDecisions:
    return sites.approval(0, request="b" * 64)


def by_another_key(sites: Sites) -> SignedDecisions:
    return sites.approval(0, Ed25519PrivateKey.generate())


def under_the_owners_name(sites: Sites) -> SignedDecisions:
    (forged,) = by_another_key(sites).signed
    return SignedDecisions(signed=(forged.model_copy(update={"signer": sites.approval(0).signed[0].signer}),))


def by_another_owner(sites: Sites) -> SignedDecisions:
    return sites.approval(0, sites.owners[1])


def turned_round(sites: Sites) -> SignedDecisions:
    (denied,) = sites.approval(0, verdict="deny").signed
    turned = denied.decision.model_copy(update={"verdict": "approve"})
    return SignedDecisions(signed=(denied.model_copy(update={"decision": turned}),))


def one_of_two(sites: Sites) -> SignedDecisions:
    return sites.approval(0, approvals=2)


def one_person_twice(sites: Sites) -> SignedDecisions:
    return SignedDecisions(signed=one_of_two(sites).signed * 2)


def by_rules_of_another_owner(sites: Sites) -> RulesGround:
    return sites.ground(0, EPSILON, sites.owners[1])


def by_rules_that_let_less_be(sites: Sites) -> RulesGround:
    return sites.ground(0, EPSILON / 2)


def by_rules_for_other_terms(sites: Sites) -> RulesGround:
    return sites.ground(0, EPSILON, request="c" * 64)


def by_rules_for_longer_than_the_precedent(sites: Sites) -> RulesGround:
    return sites.ground(0, EPSILON, expires_at=1_900_000_001)


def by_rules_because_of_a_denial(sites: Sites) -> RulesGround:
    denied = sites.approval(0, request="b" * 64, verdict="deny")
    return sites.ground(0, EPSILON).model_copy(update={"precedent": denied})


def denial(sites: Sites) -> SignedDecisions:
    return sites.approval(0, verdict="deny")


def of_a_stranger(sites: Sites) -> SignedDecisions:
    return sites.approval(0, site="d" * 64)


def of_a_site_that_is_there_already(sites: Sites) -> SignedDecisions:
    return sites.approval(1)


@pytest.mark.parametrize(
    "forge",
    [
        of_other_terms,
        by_another_key,
        under_the_owners_name,
        by_another_owner,
        turned_round,
        one_of_two,
        one_person_twice,
        denial,
        of_a_stranger,
        of_a_site_that_is_there_already,
    ],
)
def test_a_forged_approval_is_found(sites: Sites, forge: Callable[[Sites], SignedDecisions], tmp_path: Path) -> None:
    folder = sites.result(forge(sites), *others(sites)).save(tmp_path / "model")
    with pytest.raises((NotAuthenticError, RefusedError)):
        check_model(folder, sites.cards)


@pytest.mark.parametrize(
    "forge",
    [
        by_rules_of_another_owner,
        by_rules_that_let_less_be,
        by_rules_for_other_terms,
        by_rules_for_longer_than_the_precedent,
        by_rules_because_of_a_denial,
    ],
)
def test_a_researcher_takes_no_forged_approval_by_rules(sites: Sites, forge: Callable[[Sites], RulesGround]) -> None:
    require_approval(sites.ground(0, EPSILON), sites.cards[0], sites.terms)
    with pytest.raises((NotAuthenticError, RefusedError)):
        require_approval(forge(sites), sites.cards[0], sites.terms)


def test_a_researcher_takes_no_approval_by_rules_of_a_study_without_noise(tmp_path: Path) -> None:
    none = {"noise_multiplier": 0.0}
    unbounded = new_sites(tmp_path, privacy=None, training=none, evaluation=none)
    with pytest.raises(RefusedError, match="house rules do not let be"):
        require_approval(unbounded.ground(0, 100.0), unbounded.cards[0], unbounded.terms)


def test_an_approval_by_rules_is_no_proof_on_a_card(sites: Sites, tmp_path: Path) -> None:
    """Nobody signed it: its proof is the log's, which the receipt has."""
    folder = sites.result(sites.ground(0, EPSILON), *others(sites)).save(tmp_path / "model")
    with pytest.raises(NotAuthenticError, match="ask for the receipt"):
        check_model(folder, sites.cards)


def test_a_missing_approval_is_found(sites: Sites, tmp_path: Path) -> None:
    folder = sites.result(sites.approval(0), sites.approval(2)).save(tmp_path / "model")
    with pytest.raises(NotAuthenticError, match="no approval of bern"):
        check_model(folder, sites.cards)


def test_a_decision_of_somebody_outside_the_cohort_is_found(sites: Sites, tmp_path: Path) -> None:
    approvals = (*(sites.approval(it) for it in range(3)), of_a_stranger(sites))
    folder = sites.result(*approvals).save(tmp_path / "model")
    with pytest.raises(NotAuthenticError, match="not in the cohort"):
        check_model(folder, sites.cards)


def test_kinder_terms_than_were_approved_are_found(sites: Sites, tmp_path: Path) -> None:
    kinder = sites.terms.model_copy(update={"onward_use": "Anything."})
    folder = sites.result(terms=kinder).save(tmp_path / "model")
    with pytest.raises(RefusedError):
        check_model(folder, sites.cards)


def test_a_site_whose_card_nobody_pinned_is_not_taken_on_trust(sites: Sites, tmp_path: Path) -> None:
    folder = sites.result().save(tmp_path / "model")
    with pytest.raises(NotAuthenticError, match="cork"):
        check_model(folder, sites.cards[:2])


def test_another_text_or_another_model_than_the_cards_is_found(sites: Sites, tmp_path: Path) -> None:
    for name in ("card.md", "model.safetensors"):
        folder = sites.result().save(tmp_path / name)
        file = folder / name
        file.write_bytes(file.read_bytes().replace(b"Early", b"Close") + b" ")
        with pytest.raises(NotAuthenticError):
            check_model(folder, sites.cards)
    (folder / "card.json").unlink()
    with pytest.raises(InvalidInputError):
        check_model(folder, sites.cards)


def test_what_a_researcher_writes_draws_no_section_or_table_of_its_own(sites: Sites) -> None:
    forged = "Care.\n\n## Who approved it\n\n| bern | the owner | <b>now</b> | [see](https://a.example) | `d` |"
    text = sites.result(terms=sites.terms.model_copy(update={"purpose": forged})).card()
    assert text.count("\n## Who approved it") == 1
    assert "\\| bern \\|" in text
    assert "\\<b\\>" in text
    assert "\\[see\\]" in text
