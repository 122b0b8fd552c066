"""A datasite opened for work: its folder, database, keys and clock, handed to every use case."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, select

from datasites.catalog.keys import CatalogKeys
from datasites.protocol.identity import Identity
from datasites.store.adopted_rules import Adopted, adopt, adopted_now
from datasites.store.contents import ContentFolder
from datasites.store.engine import open_engine
from datasites.store.home import Home, Settings, create_home, read_catalog_keys, read_settings, write_settings
from datasites.store.migrate import migrate
from policies.errors import ConflictError
from policies.log.entries import SiteOpened, parse_entry
from policies.log.journal import append, entry_bytes, latest_moment, log_entries
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, parse_house_rules


@dataclass(frozen=True)
class Site:
    """What a use case may touch. Nobody's decision key is among it: it is handed to who decides."""

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

    @property
    def log_key(self) -> Ed25519PrivateKey:
        """The private key that signs this site's log."""
        assert self.identity.log is not None  # noqa: S101 – a datasite has a log key, as its card was checked to
        return self.identity.log

    def moment(self, connection: Connection) -> int:
        """The same as `now`, but never before the latest moment in the log: a clock set back gives no time back."""
        return max(self.now, latest_moment(connection))

    def house_rules(self, connection: Connection) -> Adopted:
        """The owner's standing rules: what was adopted last, whatever the file on disk says.

        Raises:
            RefusedError: the owner has adopted none.
            NotAuthenticError: what is stored is not what the owner adopted.
        """
        return adopted_now(connection, self.identity.card)


def open_site(home: Home, clock: Callable[[], float] = time.time) -> Site:
    """Open the datasite in `home`; `serve` brings its database to the newest schema.

    Raises:
        InvalidInputError: there is no datasite there, or its files are damaged.
    """
    settings = read_settings(home)
    return _site(home, settings, Identity.load(home.keys), clock)


def create_site(
    home: Home, settings: Settings, owner_key: Ed25519PrivateKey, clock: Callable[[], float] = time.time
) -> Site:
    """Make a datasite: folder, keys, database, the first entry of its log, and house rules that its owner adopts.

    Raises:
        ConflictError: a datasite is there already, in the folder or in the database. One that was only begun, when a
            stop cut it short, is finished.
        InvalidInputError: a name or path is not usable.
    """
    create_home(home, DEFAULT_HOUSE_RULES)
    public_key = owner_key.public_key().public_bytes_raw()
    unfinished = (home.keys / "card.json").exists()
    identity = (
        Identity.load(home.keys) if unfinished else Identity.create(home.keys, settings.name, "datasite", public_key)
    )
    card = identity.card
    if (card.name, card.owner_key) != (settings.name, public_key.hex()):
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
            adopt(connection, card, parse_house_rules(DEFAULT_HOUSE_RULES.encode()), owner_key, site.now)
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
