"""Whether a site's «approved» is its people's: signed decisions on these terms, or rules that the owner adopted."""

from datasites.protocol.identity import IdentityCard
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions, verify_decisions
from policies.errors import RefusedError
from policies.rules.approval import MAXIMUM_RULES_GROUND_BYTES, RulesGround, verify_ground
from policies.statements.schema import parse_model
from policies.terms import Terms


def check_approval(terms: Terms, card: IdentityCard, decision: str | None, ground: str | None) -> None:
    """Check what the site with this card sent with its approval of `terms`, as canonical JSON.

    Raises:
        RefusedError: it sent neither, or something over other terms.
        NotAuthenticError: its owner did not sign what the approval rests on.
    """
    owner_key = bytes.fromhex(card.owner_key or "")
    if decision is not None:
        signed = parse_model(
            SignedDecisions, decision.encode(), maximum_bytes=MAXIMUM_SIGNED_DECISIONS_BYTES, what="The decision"
        )
        taken = verify_decisions(signed, owner_key, terms.researcher)
        named = (taken.verdict, taken.site, taken.request)
    elif ground is not None:
        given = parse_model(
            RulesGround, ground.encode(), maximum_bytes=MAXIMUM_RULES_GROUND_BYTES, what="The approval by house rules"
        )
        approval = verify_ground(given, owner_key, card.party, terms.researcher)
        _require_within(given, terms, card)
        named = (approval.verdict, approval.site, approval.request)
    else:
        raise RefusedError(f"{card.name} sent no signed decision with its approval; ask its owner.")
    if named != ("approve", card.party, terms.digest()):
        raise RefusedError(f"{card.name} sent a decision over something else than these terms; ask its owner.")


def _require_within(given: RulesGround, terms: Terms, card: IdentityCard) -> None:
    own, member = given.adoption.adoption.rules.auto_approval, terms.member(card.party)
    within = own is not None and terms.privacy is not None and terms.privacy.epsilon <= own.maximum_epsilon
    if not within or member is None or member.data_set != given.approval.data_set:
        raise RefusedError(f"{card.name} sent an approval that its own house rules do not let be; ask its owner.")
