"""The section `[approvals]` of the house rules: how many persons must sign, and who may decide."""

from typing import Annotated

from pydantic import Field

from policies.errors import RefusedError
from policies.people.agreement import Approvals, same_name
from policies.people.appointment import PersonName
from policies.people.signer import Person, PersonSigned, person_of
from policies.statements.schema import StrictModel

_MOST_APPROVERS = 100


class ApprovalRules(StrictModel):
    """How many different persons must approve a study, a job, and the release of a job's outputs."""

    studies: Approvals = 1
    jobs: Approvals = 1
    releases: Approvals = 1
    approvers: Annotated[tuple[PersonName, ...], Field(max_length=_MOST_APPROVERS)] = ()
    """The names of those who may decide; if there are none, the owner and every reviewer."""


def require_people(rules: ApprovalRules, signed: PersonSigned, named: int, asked: int) -> None:
    """Check that a decision takes as many persons as the rules ask for, and is by one whom they let decide.

    Raises:
        RefusedError: it does not, or they name others.
    """
    if named != asked:
        raise RefusedError(f"The decision takes {named} persons, and the house rules ask for {asked}.")
    require_approver(rules, person_of(signed.signer, signed.appointment))


def require_approver(rules: ApprovalRules, person: Person) -> None:
    """Check that the house rules let `person` decide.

    Raises:
        RefusedError: they name others.
    """
    if rules.approvers and not any(same_name(person.name, name) for name in rules.approvers):
        raise RefusedError(f"The house rules name who may decide here, and {person.name} is not among them.")
