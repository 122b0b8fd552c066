"""The log entry on a request that gave way to a newer one of its researcher's."""

from typing import Literal

from policies.log.entry import Entry
from policies.statements.schema import Digest


class RequestSuperseded(Entry):
    """The request ended because `by`, received after it, names it as the one it replaces."""

    kind: Literal["request-superseded"] = "request-superseded"
    request: Digest
    by: Digest
