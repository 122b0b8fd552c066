"""The owner's standing rules: what a request must satisfy before its owner may approve it."""

from typing import Annotated

from pydantic import Field, ValidationError

from policies.errors import InvalidInputError, RefusedError
from policies.jobs.rules import JobRules
from policies.people.rules import ApprovalRules
from policies.statements.schema import StrictModel, describe_validation_error
from policies.statements.toml import parse_toml
from policies.terms import Privacy, Terms

MAXIMUM_HOUSE_RULES_BYTES = 64 * 1024
DEFAULT_HOUSE_RULES = """\
# Standing rules of this datasite. They bind every approval; edit them and they hold from the next one on.
minimum_cohort = 3        # a sum must cover at least this many sites
minimum_colluders = 1     # and withstand this many of them colluding
maximum_epsilon = 10.0    # the most ε that one request may promise
unbounded_studies = false # true: a person may approve studies without any privacy guarantee
maximum_days = 90         # the longest that an approval may stay valid
maximum_round_minutes = 60  # the longest that one round may keep the site's worker busy

[approvals]               # how many different persons must sign the same before it holds
studies = 1
jobs = 1
releases = 1              # of a job's outputs
approvers = []            # the names of those who may decide; empty: the owner and every reviewer

[jobs]                    # analysis code; each job needs an approval of its own
maximum_minutes = 60      # the longest that one execution may take
maximum_memory_mib = 8192 # the most memory that it may use
maximum_disk_mib = 1024   # the most that it may write, outputs included
maximum_days = 90         # the longest that an approval may stay valid
release_clean = false     # true: outputs in which the inspection finds nothing leave at once

[jobs.outputs]            # what the inspection finds
minimum_group = 10        # a number that stands for fewer records than this
"""


class HouseRules(StrictModel):
    """`house_rules.toml`: caps and required protections, the same for every data set of the site."""

    minimum_cohort: Annotated[int, Field(ge=2, le=100)]
    minimum_colluders: Annotated[int, Field(ge=0, le=98)]
    maximum_epsilon: Annotated[float, Field(gt=0, le=100)]
    unbounded_studies: bool = False
    maximum_days: Annotated[int, Field(ge=1, le=3650)]
    maximum_round_minutes: Annotated[int, Field(ge=1, le=10_080)]
    approvals: ApprovalRules = ApprovalRules()
    jobs: JobRules = JobRules()


def parse_house_rules(data: bytes) -> HouseRules:
    """Parse `house_rules.toml`.

    Raises:
        InvalidInputError: it is too long or not TOML, or saying which rule is wrong.
    """
    document = parse_toml(data, maximum_bytes=MAXIMUM_HOUSE_RULES_BYTES, what="house_rules.toml")
    try:
        return HouseRules.model_validate(document)
    except ValidationError as error:
        raise InvalidInputError(f"The house rules are not valid: {describe_validation_error(error)}.") from error


def check_house_rules(rules: HouseRules, terms: Terms, now: int) -> None:
    """Refuse terms that the owner's standing rules forbid; `now` in seconds since 1970.

    Raises:
        RefusedError: naming the rule, what the terms say and what the rule asks for.
    """
    averaging = terms.secure_averaging
    checks = (
        (
            averaging.minimum_cohort >= rules.minimum_cohort,
            f"a sum may cover as few as {averaging.minimum_cohort} sites; the house rules ask for "
            f"{rules.minimum_cohort}",
        ),
        (
            averaging.colluders >= rules.minimum_colluders,
            f"the sum withstands {averaging.colluders} colluding sites; the house rules ask for "
            f"{rules.minimum_colluders}",
        ),
        _privacy_rule(rules, terms.privacy),
        (
            terms.expires_at <= now + rules.maximum_days * 86_400,
            f"the approval would stay valid for more than the {rules.maximum_days} days that the house rules allow",
        ),
        (
            max(terms.deadlines.setup_seconds, terms.deadlines.round_seconds) <= 60 * rules.maximum_round_minutes,
            f"a round may take {terms.deadlines.round_seconds} s and a set-up {terms.deadlines.setup_seconds} s; the "
            f"house rules allow at most {rules.maximum_round_minutes} minutes",
        ),
    )
    for holds, reason in checks:
        if not holds:
            raise RefusedError(f"The house rules forbid this request: {reason}.")


def _privacy_rule(rules: HouseRules, privacy: Privacy | None) -> tuple[bool, str]:
    if privacy is None:
        return (
            rules.unbounded_studies,
            "the study gives no privacy guarantee; the house rules ask for one (unbounded_studies = false)",
        )
    return (
        privacy.epsilon <= rules.maximum_epsilon,
        f"the study asks for ε={privacy.epsilon:g}; the house rules allow at most {rules.maximum_epsilon:g}",
    )
