"""An audit of a datasite in a test: its log is exported, and checked by its card alone."""

from datasites.site import Site
from datasites.witnesses.export import export_log
from policies.log.verify import Pinned, Report, verify_bundle


def audit(site: Site) -> Report:
    """What an auditor with the site's card finds in its exported log."""
    card = site.identity.card
    assert card.log_key is not None
    assert card.owner_key is not None
    with site.engine.begin() as connection:
        bundle = export_log(connection, site)
    return verify_bundle(bundle, Pinned(bytes.fromhex(card.log_key), bytes.fromhex(card.owner_key)))
