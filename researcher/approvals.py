"""A site's approval as its researcher holds it, of people or house rules: checked against the site's card, and told."""

from dataclasses import dataclass
from datetime import UTC, datetime

from datasites.protocol.identity import IdentityCard
from policies.decision import SignedDecisions, verify_decisions
from policies.errors import RefusedError
from policies.people.signer import person_of
from policies.rules.approval import RulesGround, verify_ground
from policies.statements.schema import Digest, PartyId
from policies.terms import Terms

Approval = SignedDecisions | RulesGround
"""What a site sends as its approval: signed decisions, or adopted rules with the precedent that they rest on."""


@dataclass(frozen=True)
class Told:
    """An approval in words; moments in seconds since 1970. Nothing of it is checked."""

    site: PartyId
    approves: bool
    by: str
    at: int
    until: int
    digest: Digest


def require_approval(given: Approval, card: IdentityCard, terms: Terms) -> None:
    """Check that the site with `card` approved exactly `terms`.

    Raises:
        NotAuthenticError: nobody whom its owner let signed what the approval rests on.
        RefusedError: it is over something else, no approval, or one that the house rules beside it do not let be.
    """
    owner_key = bytes.fromhex(card.owner_key or "")
    if isinstance(given, SignedDecisions):
        decision = verify_decisions(given, owner_key, terms.researcher)
        named = (decision.verdict, decision.site, decision.request)
    else:
        approval = verify_ground(given, owner_key, card.party, terms.researcher)
        _require_within(given, terms, card)
        named = (approval.verdict, approval.site, approval.request)
    if named != ("approve", card.party, terms.digest()):
        raise RefusedError(f"{card.name} sent a decision over something else than these terms; ask its owner.")


def told(given: Approval) -> Told:
    """Who approved, when, until when, and by which digest that is known."""
    if isinstance(given, RulesGround):
        approval = given.approval
        digest, at = approval.house_rules, approval.approved_at
        return Told(approval.site, True, "the house rules", at, approval.expires_at, digest)
    decision = given.decision
    people = (f"{person_of(it.signer, it.appointment).name} ({it.signer[:16]}…)" for it in given.signed)
    at = max(it.decision.decided_at for it in given.signed)
    approves = decision.verdict == "approve"
    return Told(decision.site, approves, " and ".join(people), at, decision.expires_at, decision.subject())


def day(timestamp: int) -> str:
    """Seconds since 1970 as people read them."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _require_within(given: RulesGround, terms: Terms, card: IdentityCard) -> None:
    own, member = given.adoption.adoption.rules.auto_approval, terms.member(card.party)
    within = own is not None and terms.privacy is not None and terms.privacy.epsilon <= own.maximum_epsilon
    if not within or member is None or member.data_set != given.approval.data_set:
        raise RefusedError(f"{card.name} sent an approval that its own house rules do not let be; ask its owner.")
