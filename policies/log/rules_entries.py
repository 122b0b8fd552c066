"""Log entries on house rules: which the owner adopted, and what they approved without a person."""

from typing import Literal

from policies.log.entry import Entry
from policies.rules.adoption import SignedAdoption
from policies.rules.approval import RulesApproval


class RulesAdopted(Entry):
    """The owner adopted house rules; the signed rules themselves, which are no secret."""

    kind: Literal["rules-adopted"] = "rules-adopted"
    signed: SignedAdoption


class ApprovedByRules(Entry):
    """The house rules approved a study that is like one which a person approved here; nobody signed it."""

    kind: Literal["approved-by-rules"] = "approved-by-rules"
    approval: RulesApproval
