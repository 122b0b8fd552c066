"""Log entries on approvals that were taken back."""

from typing import Literal

from policies.log.entry import Entry
from policies.people.revocation import SignedRevocation


class ApprovalRevoked(Entry):
    """A person took back what was approved of a request; the signed revocation itself."""

    kind: Literal["approval-revoked"] = "approval-revoked"
    signed: SignedRevocation
