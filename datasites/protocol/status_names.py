"""The words for where a study stands at a site, as they travel and as its database has them."""

from typing import Literal

StudyStatusName = Literal[
    "received",
    "refused",
    "pending",
    "approved",
    "denied",
    "running",
    "done",
    "failed",
    "expired",
    "closed",
    "revoked",
    "superseded",
]
