"""A site's approval as its researcher holds it, of people or house rules: checked against the site's card, and told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from datasites.protocol.identity import IdentityCard
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions, verify_decisions
from policies.errors import RefusedError
from policies.people.signer import person_of
from policies.rules.approval import MAXIMUM_RULES_GROUND_BYTES, RulesGround, verify_ground
from policies.statements.schema import Digest, PartyId, parse_model
from policies.terms import Terms
from researcher.state import State

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


def require_approvals(state: State, cohort: Sequence[IdentityCard], terms: Terms) -> None:
    """Check that every site of the cohort has sent its approval of exactly `terms`.

    Raises:
        NotAuthenticError, RefusedError: as `require_approval`, or a site sent none.
    """
    received = received_approvals(state, terms.study)
    for card in cohort:
        if card.party not in received:
            raise RefusedError(f"{card.name} sent no signed decision with its approval; ask its owner.")
        require_approval(received[card.party], card, terms)


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


def received_approvals(state: State, study: str) -> dict[str, Approval]:
    """What each site sent as its decision or approval, by its party; nothing of it is checked."""
    with state.transaction() as connection:
        rows = connection.execute(
            "SELECT site, decision, ground FROM statuses LEFT JOIN grounds USING (study, site) WHERE study = ?",
            (study,),
        ).fetchall()
    read = {row["site"]: _stored(row["decision"], row["ground"]) for row in rows}
    return {site: approval for site, approval in read.items() if approval is not None}


def _stored(decision: str | None, ground: str | None) -> Approval | None:
    """What a site sent, as it is stored; None if it sent neither."""
    if decision is not None:
        maximum = MAXIMUM_SIGNED_DECISIONS_BYTES
        return parse_model(SignedDecisions, decision.encode(), maximum_bytes=maximum, what="The decision")
    if ground is None:
        return None
    maximum = MAXIMUM_RULES_GROUND_BYTES
    return parse_model(RulesGround, ground.encode(), maximum_bytes=maximum, what="The approval by house rules")
