"""What must survive a kernel restart: pinned cards, the numbering of messages, and every study with its progress."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from datasites.protocol.envelope import check_number
from datasites.protocol.identity import IdentityCard, parse_card
from policies.errors import ConflictError, InvalidInputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sites (
    party TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, card TEXT NOT NULL,
    outgoing INTEGER NOT NULL DEFAULT 0, incoming INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, terms TEXT NOT NULL, loss_program TEXT NOT NULL, metrics_program TEXT NOT NULL,
    source TEXT NOT NULL, initial_parameters BLOB NOT NULL,
    run TEXT, roster TEXT, round INTEGER NOT NULL DEFAULT 0, model BLOB NOT NULL, history TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE IF NOT EXISTS statuses (
    study TEXT NOT NULL REFERENCES studies, site TEXT NOT NULL REFERENCES sites,
    status TEXT NOT NULL, detail TEXT NOT NULL, decision TEXT, PRIMARY KEY (study, site)
) STRICT;
"""


class State:
    """The researcher's state file, SQLite with `synchronous=FULL`; one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self.transaction() as connection:
            connection.executescript(_SCHEMA)
        path.chmod(0o600)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change: committed when the block ends, undone if it raises."""
        with closing(sqlite3.connect(self._path, timeout=60)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            with connection:
                yield connection

    def pin(self, card: IdentityCard) -> None:
        """Trust a site's card from now on; the same card again changes nothing.

        Raises:
            InvalidInputError: the card is not a datasite's.
            ConflictError: the name or the identity is pinned with other keys.
        """
        if card.role != "datasite":
            raise InvalidInputError(f"The card of «{card.name}» is a {card.role}'s; pin the cards of datasites.")
        text = card.canonical().decode()
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT card FROM sites WHERE party = ? OR name = ?", (card.party, card.name)
            ).fetchall()
            if any(row["card"] != text for row in rows):
                raise ConflictError(
                    f"«{card.name}» is pinned with other keys; a site whose keys changed needs a new name, "
                    "checked in person."
                )
            if not rows:
                connection.execute(
                    "INSERT INTO sites (party, name, card) VALUES (?, ?, ?)", (card.party, card.name, text)
                )

    def sites(self) -> dict[str, IdentityCard]:
        """Pinned cards by party, in order of their names."""
        with self.transaction() as connection:
            rows = connection.execute("SELECT card FROM sites ORDER BY name").fetchall()
        cards = [parse_card(row["card"].encode()) for row in rows]
        return {card.party: card for card in cards}

    def next_number(self, site: str) -> int:
        """The number of the next message to `site`; on disk before it is used."""
        with self.transaction() as connection:
            row = connection.execute(
                "UPDATE sites SET outgoing = outgoing + 1 WHERE party = ? RETURNING outgoing", (site,)
            ).fetchone()
        return int(row["outgoing"])

    def take_number(self, connection: sqlite3.Connection, site: str, number: int) -> None:
        """Accept `number` as the newest from `site`.

        Raises:
            ConflictError: it was used before: a replay.
        """
        row = connection.execute("SELECT incoming FROM sites WHERE party = ?", (site,)).fetchone()
        check_number(row["incoming"], number)
        connection.execute("UPDATE sites SET incoming = ? WHERE party = ?", (number, site))

    def study(self, study: str) -> sqlite3.Row:
        """The row of a study.

        Raises:
            InvalidInputError: there is none of this name.
        """
        with self.transaction() as connection:
            row: sqlite3.Row | None = connection.execute("SELECT * FROM studies WHERE study = ?", (study,)).fetchone()
        if row is None:
            raise InvalidInputError(f"This researcher's folder has no study {study}; submit it first.")
        return row

    def update_study(self, study: str, *, run: str | None, roster: str | None = None) -> None:
        """Write down a study's run and, once there is one, its roster."""
        with self.transaction() as connection:
            connection.execute("UPDATE studies SET run = ?, roster = ? WHERE study = ?", (run, roster, study))
