"""Approvals by the rules: no person signs them; what stands for each are the owner's rules and a person's precedent."""

from typing import Literal

from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, PopulationId, SignedDecisions, Units, verify_decisions
from policies.errors import NotAuthenticError
from policies.rules.adoption import MAXIMUM_SIGNED_ADOPTION_BYTES, SignedAdoption, verify_adoption
from policies.statements.schema import Digest, Name, PartyId, StrictModel, Timestamp

MAXIMUM_RULES_GROUND_BYTES = MAXIMUM_SIGNED_ADOPTION_BYTES + MAXIMUM_SIGNED_DECISIONS_BYTES + 8 * 1024


class RulesApproval(StrictModel):
    """What the rules approved: a request on one snapshot, because of `precedent`, a request that a person approved."""

    version: Literal["cloister-rules-approval/1"]
    site: PartyId
    request: Digest
    data_set: Name
    snapshot_commitment: Digest
    population: PopulationId
    training_units: Units
    evaluation_units: Units
    expires_at: Timestamp
    house_rules: Digest
    precedent: Digest
    approved_at: Timestamp
    verdict: Literal["approve"]


class RulesGround(StrictModel):
    """An approval by the rules, and what stands for it: the rules that were adopted, the decision on the precedent."""

    approval: RulesApproval
    adoption: SignedAdoption
    precedent: SignedDecisions


def verify_ground(ground: RulesGround, owner_key: bytes, site: PartyId, researcher: PartyId) -> RulesApproval:
    """The approval, if rules that the owner of `site` adopted let it be, and people there approved its precedent.

    Both were asked for by `researcher`.

    `owner_key` is the raw 32-byte key pinned for the site. Whether the request is like its precedent, who has the terms
    of both may check with `looser`.

    Raises:
        NotAuthenticError: rules or precedent are not signed, or not those that the approval names.
    """
    approval, adoption = ground.approval, verify_adoption(ground.adoption, owner_key, site)
    decision = verify_decisions(ground.precedent, owner_key, researcher)
    rests = (approval.site, approval.house_rules) == (site, adoption.digest()) and adoption.rules.auto_approval
    if not rests:
        raise NotAuthenticError("The approval names other house rules than those beside it, or they let nothing be.")
    named = (approval.site, approval.precedent, approval.data_set, "approve")
    if (decision.site, decision.request, decision.data_set, decision.verdict) != named:
        raise NotAuthenticError("The decision beside the approval is not a person's on the precedent that it names.")
    if approval.expires_at > decision.expires_at:
        raise NotAuthenticError("The approval outlives the person's on the precedent that it names.")
    return approval
