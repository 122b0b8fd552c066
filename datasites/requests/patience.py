"""How long a request may wait for its owner before it expires, by the rules that hold."""

from sqlalchemy import Connection

from datasites.site import Site
from policies.errors import NotAuthenticError, RefusedError
from policies.rules.house_rules import HouseRules
from policies.rules.requests import DAY


def rules_if_any(connection: Connection, site: Site) -> HouseRules | None:
    """The rules that hold; None where none were adopted, or somebody changed them: what waits then waits on."""
    try:
        return site.house_rules(connection).rules
    except (NotAuthenticError, RefusedError):
        return None


def patience_seconds(connection: Connection, site: Site) -> int | None:
    """The seconds after which a request expires that nobody ever decided on; None for never."""
    rules = rules_if_any(connection, site)
    return None if rules is None or rules.decide_within_days is None else rules.decide_within_days * DAY
