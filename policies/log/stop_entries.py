"""Log entries on a site that was stopped as a whole, and that goes on again."""

from typing import Literal

from policies.log.entry import Entry
from policies.people.stop import SignedResumption, SignedStop


class SiteStopped(Entry):
    """A person stopped everything; the signed stop itself."""

    kind: Literal["site-stopped"] = "site-stopped"
    signed: SignedStop


class SiteResumed(Entry):
    """A person let the site go on; the signed resumption, which names the stop that it ends."""

    kind: Literal["site-resumed"] = "site-resumed"
    signed: SignedResumption
