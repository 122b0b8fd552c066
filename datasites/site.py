"""A datasite opened for work: its folder, database, keys and clock, handed to every use case."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from datasites.catalog.keys import CatalogKeys
from datasites.protocol.identity import Identity
from datasites.protocol.private_files import read_given_file
from datasites.store.contents import ContentFolder
from datasites.store.engine import open_engine
from datasites.store.home import Home, Settings, create_home, read_catalog_keys, read_settings, write_settings
from datasites.store.migrate import migrate
from policies.errors import ConflictError
from policies.house_rules import DEFAULT_HOUSE_RULES, MAXIMUM_HOUSE_RULES_BYTES, HouseRules, parse_house_rules
from policies.log.entries import SiteOpened, parse_entry
from policies.log.journal import append, entry_bytes, log_entries


@dataclass(frozen=True)
class Site:
    """What a use case may touch. Nobody's decision key is among it: it is handed to `decide` alone."""

    home: Home
    settings: Settings
    engine: Engine
    identity: Identity
    catalog_keys: CatalogKeys
    contents: ContentFolder
    clock: Callable[[], float] = time.time

    @property
    def now(self) -> int:
        """Seconds since 1970, UTC."""
        return int(self.clock())

    @property
    def owner_key(self) -> bytes:
        """The owner's public key on the site's card, raw 32 bytes."""
        return bytes.fromhex(self.identity.card.owner_key or "")

    def house_rules(self) -> HouseRules:
        """The owner's standing rules as they are on disk at this moment.

        Raises:
            InvalidInputError: the file is missing, or a rule in it is wrong.
        """
        file = self.home.house_rules_file
        return parse_house_rules(read_given_file(file, maximum_bytes=MAXIMUM_HOUSE_RULES_BYTES, what="The file"))


def open_site(home: Home, clock: Callable[[], float] = time.time) -> Site:
    """Open the datasite in `home`; `serve` brings its database to the newest schema.

    Raises:
        InvalidInputError: there is no datasite there, or its files are damaged.
    """
    settings = read_settings(home)
    return _site(home, settings, Identity.load(home.keys), clock)


def create_site(home: Home, settings: Settings, owner_key: bytes, clock: Callable[[], float] = time.time) -> Site:
    """Make a datasite: folder, keys, database, and the first entry of its log; `owner_key` is the raw public key.

    Raises:
        ConflictError: a datasite is there already, in the folder or in the database. One that was only begun, when a
            stop cut it short, is finished.
        InvalidInputError: a name or path is not usable.
    """
    create_home(home, DEFAULT_HOUSE_RULES)
    unfinished = (home.keys / "card.json").exists()
    identity = (
        Identity.load(home.keys) if unfinished else Identity.create(home.keys, settings.name, "datasite", owner_key)
    )
    card = identity.card
    if (card.name, card.owner_key) != (settings.name, owner_key.hex()):
        raise ConflictError(f"{home.folder} was begun under another name or owner's key; remove it, or choose another.")
    site = _site(home, settings, identity, clock)
    migrate(site.engine)
    opened = SiteOpened(
        at=site.now,
        site=card.party,
        name=card.name,
        signing_key=card.signing_key,
        log_key=card.log_key or "",
        owner_key=card.owner_key or "",
    )
    with site.engine.begin() as connection:
        if entry_bytes(connection):
            require_own_log(connection, site)
        else:
            append(connection, opened)
    home.card_file.write_bytes(card.canonical())
    write_settings(home, settings)
    return site


def require_own_log(connection: Connection, site: Site) -> None:
    """Check that the database is this datasite's, and not another one's whose URL was written into `site.toml`.

    Raises:
        ConflictError: it is another's.
    """
    first = parse_entry(
        connection.execute(select(log_entries.c.entry).order_by(log_entries.c.position).limit(1)).scalar_one()
    )
    if not isinstance(first, SiteOpened) or first.site != site.identity.party:
        raise ConflictError("The database holds another datasite; each datasite needs a database of its own.")


def _site(home: Home, settings: Settings, identity: Identity, clock: Callable[[], float]) -> Site:
    engine = open_engine(settings.database or f"sqlite:///{home.database_file}")
    return Site(home, settings, engine, identity, read_catalog_keys(home), ContentFolder(home.contents), clock)
