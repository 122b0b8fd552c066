"""A site vouches for its own number of units in a study's terms: the other sites count on its noise by it."""

from policies.manifest import Manifest
from policies.terms import Terms


def units_obstacle(terms: Terms, site: str, manifest: Manifest) -> str | None:
    """Why `terms` do not fit this site's `manifest` in the numbers of units, or None where they do."""
    member = terms.member(site)
    declared = (manifest.training_units, manifest.holdout_units)
    if member is None or (member.training_units, member.holdout_units) == declared:
        return None
    return (
        f"The terms give «{manifest.name}» {member.training_units} training and {member.holdout_units} holdout units; "
        f"its manifest declares {declared[0]} and {declared[1]}. Ask for the catalog and submit the study again."
    )
