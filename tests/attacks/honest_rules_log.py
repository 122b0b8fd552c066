"""An honest log in which the house rules approve a study like one that a person approved, for the attacks to bend."""

from collections.abc import Sequence

from policies.log import entries as log
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.rules.adoption import Adoption, sign_adoption
from policies.rules.approval import RulesApproval
from policies.rules.house_rules import AutoApprovalRules, HouseRules
from policies.terms import Terms
from tests.attacks.honest_log import (
    EVALUATION,
    EXPIRES,
    FACTS,
    OPENED,
    OWNER,
    PINNED,
    POPULATION,
    RECEIVED,
    REGISTERED,
    REQUEST,
    RESERVED,
    RULES,
    SNAPSHOT,
    TERMS,
    TRAINING,
    Entries,
    approval,
    changed,
    charge,
    computed,
    cost,
    released,
)


def adoption(rules: HouseRules, previous: Adoption | None = None) -> Adoption:
    """An adoption of `rules` that replaces `previous`."""
    digest = None if previous is None else previous.digest()
    return RULES.model_copy(update={"rules": rules, "previous": digest})


def adopted(statement: Adoption, at: int = 10) -> RulesAdopted:
    return RulesAdopted(at=at, signed=sign_adoption(OWNER, statement))


def rules(**changes: object) -> HouseRules:
    """Rules that approve two studies a quarter by themselves."""
    own = AutoApprovalRules(studies_a_quarter=2, maximum_epsilon=3.0)
    return RULES.rules.model_copy(update={"auto_approval": own, **changes})


def second(number: int = 1, **changes: object) -> Terms:
    """Terms like the first study's, of one round."""
    training = TERMS.training.model_copy(update={"rounds": 1})
    usual = {"study": f"{number:032x}", "title": f"Once more, {number}", "training": training}
    return TERMS.model_copy(update=usual | changes)


def by_rules(terms: Terms, under: Adoption, at: int = 150, **changes: object) -> list[log.LogEntry]:
    """The receipt of `terms`, their approval by the rules, and the reservation."""
    units = {
        "training_units": terms.training.rounds * cost(TRAINING),
        "evaluation_units": len(terms.evaluation.models) * cost(EVALUATION),
    }
    made = RulesApproval(
        version="cloister-rules-approval/1",
        site=FACTS.site,
        request=terms.digest(),
        data_set="registry",
        snapshot_commitment=SNAPSHOT,
        population="patients",
        expires_at=EXPIRES,
        house_rules=under.digest(),
        precedent=REQUEST,
        approved_at=at,
        verdict="approve",
        **units,
    )
    return [
        changed(RECEIVED, at=at, request=terms.digest(), terms=terms),
        ApprovedByRules(at=at, approval=made.model_copy(update=changes)),
        changed(RESERVED, at=at, request=terms.digest(), **units),
    ]


def ran(terms: Terms) -> list[log.LogEntry]:
    """The one round of `terms`."""
    context = terms.study.rjust(64, "e")
    done = [charge(1, TRAINING), charge(1, EVALUATION, "evaluation")]
    answer = changed(computed(1), round_context=context)
    return [changed(it, request=terms.digest()) for it in (*done, answer, released(1))]


def person_approved(under: Adoption, terms: Terms = TERMS) -> Entries:
    """A site with these rules, and a study that a person approved there."""
    request = terms.digest()
    received, reserved = changed(RECEIVED, request=request, terms=terms), changed(RESERVED, request=request)
    decided = approval(request=request, house_rules=under.digest(), expires_at=terms.expires_at)
    return [OPENED, adopted(under), PINNED, POPULATION, REGISTERED, received, decided, reserved]


def ruled(terms: Terms | None = None, under: HouseRules | None = None, then: Sequence[log.LogEntry] = ()) -> Entries:
    """The whole log: what a person approved, `then`, and what the rules approved after it."""
    statement = adoption(under or rules())
    asked = terms or second()
    return [*person_approved(statement), *then, *by_rules(asked, statement), *ran(asked)]


AUTOMATIC = adoption(rules())
APPROVED_BY_RULES = by_rules(second(), AUTOMATIC)[1]
