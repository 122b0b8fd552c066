"""The file `house_rules.toml`, which holds once its owner adopts it, and until then stands against every approval."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from datasites.protocol.private_files import read_given_file
from datasites.site import Site
from datasites.store.adopted_rules import Adopted, adopt
from policies.errors import CloisterError, ConflictError
from policies.rules.house_rules import MAXIMUM_HOUSE_RULES_BYTES, HouseRules, parse_house_rules


def house_rules_on_disk(site: Site) -> HouseRules:
    """What `house_rules.toml` says at this moment.

    Raises:
        InvalidInputError: the file is missing, or a rule in it is wrong.
    """
    file = site.home.house_rules_file
    return parse_house_rules(read_given_file(file, maximum_bytes=MAXIMUM_HOUSE_RULES_BYTES, what="The file"))


def adopt_file(connection: Connection, site: Site, owner_key: Ed25519PrivateKey, shown: HouseRules) -> Adopted:
    """Put the rules `shown` to the owner into force, by the owner's signature, if the file still says them.

    Raises:
        InvalidInputError: the file is missing, or a rule in it is wrong.
        ConflictError: it was changed since it was shown.
        NotAuthenticError: the key is not this datasite's owner's.
    """
    if house_rules_on_disk(site) != shown:
        raise ConflictError("house_rules.toml was changed since it was shown; nothing was adopted.")
    return adopt(connection, site.identity.card, shown, owner_key, site.moment(connection))


def file_obstacle(site: Site, adopted: Adopted) -> str | None:
    """What stands against any approval while the file says something else than what was adopted."""
    try:
        same = house_rules_on_disk(site) == adopted.rules
    except CloisterError:
        same = False
    return (
        None
        if same
        else "house_rules.toml is not what the owner adopted; «datasite rules show» says how it differs: adopt it with "
        "«datasite rules adopt», or restore it."
    )
