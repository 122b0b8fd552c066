"""Which approval of a study the entries of a receipt hold: of people, or of house rules and what these rest on."""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.decision import SignedDecisions, verify_decisions
from policies.errors import RefusedError
from policies.log.accounts import require
from policies.log.entries import DecisionTaken, LogEntry
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.people.signer import person_of
from policies.rules.approval import RulesGround, verify_ground
from policies.statements.schema import Digest, PartyId, Timestamp
from policies.terms import Terms


@dataclass(frozen=True)
class ProvedApproval:
    """Who approved, in words, and when, in seconds since 1970."""

    by: str
    at: Timestamp


def proved_approval(entries: Sequence[LogEntry], site: PartyId, terms: Terms, owner_key: bytes) -> ProvedApproval:
    """The approval of `terms` at `site` among `entries`, with whose owner's key (raw 32 bytes) all begins.

    Raises:
        RefusedError: there is none, or the last word of its people is no approval.
        NotAuthenticError: nobody whom the owner let signed what it rests on.
    """
    request = terms.digest()
    by_rules = [it.approval for it in entries if isinstance(it, ApprovedByRules) and it.approval.request == request]
    if by_rules:
        adopted = [it.signed for it in entries if isinstance(it, RulesAdopted)]
        rules = [it for it in adopted if it.adoption.digest() == by_rules[-1].house_rules]
        require(bool(rules), "the house rules that approved are not among the entries")
        precedent = _taken(entries, by_rules[-1].precedent)
        ground = RulesGround(approval=by_rules[-1], adoption=rules[0], precedent=precedent)
        approval = verify_ground(ground, owner_key, site, terms.researcher)
        require(approval.site == site, "the house rules approved at another site")
        return ProvedApproval("The house rules", approval.approved_at)
    taken = _taken(entries, request)
    decision = verify_decisions(taken, owner_key, terms.researcher)
    mine = (decision.verdict, decision.site) == ("approve", site)
    require(mine, "the last decision is no approval of these terms at this site")
    names = (person_of(it.signer, it.appointment).name for it in taken.signed)
    return ProvedApproval(" and ".join(names), max(it.decision.decided_at for it in taken.signed))


def _taken(entries: Sequence[LogEntry], request: Digest) -> SignedDecisions:
    """The last decision on `request`: the newest statement, and all that say the same."""
    found = [it.signed for it in entries if isinstance(it, DecisionTaken) and it.signed.decision.request == request]
    if not found:
        raise RefusedError("no decision on the request is among the entries")
    last = found[-1].decision
    same = [it for it in found if (it.decision.subject(), it.decision.verdict) == (last.subject(), last.verdict)]
    return SignedDecisions(signed=tuple(same[-last.approvals :] if last.verdict == "approve" else same[-1:]))
