"""The log entry on the review of a request: which findings its owner was shown."""

from typing import Literal

from policies.log.entry import Entry
from policies.statements.schema import Digest


class RequestReviewed(Entry):
    """The site looked a study or a job through before its owner was asked; `findings` is the digest of what it found.

    Its source and programs are no secret of the site's, so this digest needs no key.
    """

    kind: Literal["request-reviewed"] = "request-reviewed"
    request: Digest
    findings: Digest
