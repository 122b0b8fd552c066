"""What commands print of approvals: who gave one, and how many are missing."""

from typing import Any

from datasites.people.approvals import Approvals


def approvals_as_json(approvals: Approvals) -> dict[str, Any]:
    """Who approved, and how many must, for programs."""
    return {"by": list(approvals.by), "needed": approvals.needed, "missing": approvals.missing}


def approvals_in_words(approvals: Approvals) -> str:
    """The same in a few words."""
    names = f" ({', '.join(approvals.by)})" if approvals.by else ""
    return f"{len(approvals.by)} of {approvals.needed} approvals{names}"
