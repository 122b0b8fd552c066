"""An audit of a datasite in a test: its log is exported, and checked by its card alone."""

from datasites.site import Site
from policies.log.bundle import SiteFacts
from policies.log.journal import export_bundle
from policies.log.verify import Pinned, Report, verify_bundle


def audit(site: Site) -> Report:
    """What an auditor with the site's card finds in its exported log."""
    card, key = site.identity.card, site.identity.log
    assert key is not None
    assert card.log_key is not None
    assert card.owner_key is not None
    facts = SiteFacts(name=card.name, signing_key=card.signing_key, log_key=card.log_key, owner_key=card.owner_key)
    with site.engine.begin() as connection:
        bundle = export_bundle(connection, key, facts)
    return verify_bundle(bundle, Pinned(bytes.fromhex(card.log_key), bytes.fromhex(card.owner_key)))
