"""What the house rules ask of every request, study or job: who asks, how long it has waited, how long it would hold."""

from collections.abc import Iterable

from policies.rules.house_rules import HouseRules

Check = tuple[bool, str]
"""Whether a rule is kept, and what is wrong where it is not."""

DAY = 86_400


def shared_checks(
    rules: HouseRules, researcher: str, waiting_since: int | None, expires_at: int, maximum_days: int, now: int
) -> tuple[Check, ...]:
    """The checks; moments are in seconds since 1970, `waiting_since` None for what was decided on before."""
    waited = undecided_until(rules, waiting_since)
    return (
        (
            rules.researchers is None or researcher in rules.researchers,
            "its researcher is not among those whom the house rules let ask",
        ),
        (
            waited is None or now < waited,
            f"nobody decided on it within the {rules.decide_within_days} days that the house rules give",
        ),
        (
            expires_at <= now + maximum_days * DAY,
            f"the approval would stay valid for more than the {maximum_days} days that the house rules allow",
        ),
    )


def undecided_until(rules: HouseRules, waiting_since: int | None) -> int | None:
    """When a request expires if nobody decides on it; None for never, or for one that was decided on before."""
    if waiting_since is None or rules.decide_within_days is None:
        return None
    return waiting_since + rules.decide_within_days * DAY


def broken(checks: Iterable[Check], what: str) -> list[str]:
    """A sentence for each check that does not hold; `what` is request or job."""
    return [f"The house rules forbid this {what}: {reason}." for holds, reason in checks if not holds]
