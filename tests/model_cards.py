"""A trained model of three sites, each with its owner's approval; what is signed, and by whom, can be changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.protocol.identity import Identity, IdentityCard
from policies.decision import Decision, SignedDecisions, sign_decision
from policies.rules.adoption import Adoption, sign_adoption
from policies.rules.approval import RulesApproval, RulesGround
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, AutoApprovalRules, parse_house_rules
from policies.terms import Terms
from researcher.approvals import Approval
from researcher.estimates import Estimate
from researcher.results import Result
from researcher.round_record import RoundRecord
from tests.one_study import STUDY, make_terms
from tests.researcher.plans import LogisticRegression

NAMES = ("anna", "bern", "cork")
HISTORY = tuple(
    RoundRecord(number, {"probability": Estimate(value=0.5 + number / 10, noise=0.05)}, {}, 0.5, 0.25)
    if number in (1, 4)
    else RoundRecord(number, None, None, 0.5, 0.25)
    for number in range(1, 5)
)


@dataclass(frozen=True)
class Sites:
    """The sites' cards, the owners' keys and the terms that they approve."""

    cards: tuple[IdentityCard, ...]
    owners: tuple[Ed25519PrivateKey, ...]
    terms: Terms

    def approval(self, of: int, key: Ed25519PrivateKey | None = None, **changes: Any) -> SignedDecisions:
        fields: dict[str, Any] = {
            "version": "cloister-decision/1",
            "site": self.cards[of].party,
            "request": self.terms.digest(),
            "data_set": "clinic-a",
            "snapshot_commitment": "c" * 64,
            "population": "clinic-a",
            "training_units": 1,
            "evaluation_units": 1,
            "house_rules": "a" * 64,
            "expires_at": 1_900_000_000,
            "approvals": 1,
            "verdict": "approve",
            "reason": "approved as shown",
            "decided_at": 1_800_000_000,
        }
        signed = sign_decision(key or self.owners[of], Decision(**{**fields, **changes}))
        return SignedDecisions(signed=(signed,))

    def ground(self, of: int, epsilon: float, key: Ed25519PrivateKey | None = None, **changes: Any) -> RulesGround:
        """An approval by a site's rules, which let at most `epsilon` be; its owner approved another study of ours."""
        precedent = self.approval(of, request="b" * 64)
        own = AutoApprovalRules(studies_a_quarter=1, maximum_epsilon=epsilon)
        adoption = Adoption(
            version="cloister-house-rules/1",
            site=self.cards[of].party,
            rules=parse_house_rules(DEFAULT_HOUSE_RULES.encode()).model_copy(update={"auto_approval": own}),
            previous=None,
            adopted_at=1_800_000_000,
        )
        same = ("site", "data_set", "snapshot_commitment", "population", "training_units", "evaluation_units")
        fields: dict[str, Any] = {name: getattr(precedent.decision, name) for name in (*same, "expires_at")}
        fields |= {"request": self.terms.digest(), "precedent": "b" * 64, "house_rules": adoption.digest()}
        approval = RulesApproval(
            version="cloister-rules-approval/1", approved_at=1_800_000_001, verdict="approve", **(fields | changes)
        )
        return RulesGround(
            approval=approval, adoption=sign_adoption(key or self.owners[of], adoption), precedent=precedent
        )

    def result(self, *approvals: Approval, terms: Terms | None = None) -> Result:
        """The result, with every owner's approval where none are given."""
        given = approvals or tuple(self.approval(site) for site in range(3))
        parameters = {"weight": torch.ones(1, 6)}
        return Result(terms or self.terms, LogisticRegression(), NAMES, HISTORY, parameters, given, None)


def new_sites(folder: Path, **changes: Any) -> Sites:
    """Three sites with fresh keys; `changes` are the terms'."""
    owners = tuple(Ed25519PrivateKey.generate() for _ in NAMES)
    cards = tuple(
        Identity.create(folder / name, name, "datasite", owner.public_key().public_bytes_raw()).card
        for name, owner in zip(NAMES, owners, strict=True)
    )
    return Sites(cards, owners, make_terms(STUDY, "e" * 64, [card.party for card in cards], 1_950_000_000, changes))
