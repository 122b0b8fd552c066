"""What must survive a kernel restart: pinned cards, the numbering of messages, every study and every job."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from datasites.protocol.envelope import check_number
from datasites.protocol.identity import IdentityCard, parse_card
from datasites.protocol.private_files import make_private_folder, write_private_file
from policies.errors import ConflictError, InvalidInputError
from policies.statements.schema import parse_model
from policies.sums import MAXIMUM_SIGNED_SUM_BYTES, SignedSum

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sites (
    party TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, card TEXT NOT NULL,
    outgoing INTEGER NOT NULL DEFAULT 0, incoming INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, terms TEXT NOT NULL, loss_program TEXT NOT NULL, metrics_program TEXT NOT NULL,
    source TEXT NOT NULL, run TEXT, roster TEXT, round INTEGER NOT NULL DEFAULT 0, history TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE IF NOT EXISTS stopping_rules (
    study TEXT PRIMARY KEY REFERENCES studies, stopping_rule TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS statuses (
    study TEXT NOT NULL REFERENCES studies, site TEXT NOT NULL REFERENCES sites,
    status TEXT NOT NULL, detail TEXT NOT NULL, decision TEXT, PRIMARY KEY (study, site)
) STRICT;
CREATE TABLE IF NOT EXISTS grounds (
    study TEXT NOT NULL REFERENCES studies, site TEXT NOT NULL REFERENCES sites, ground TEXT NOT NULL,
    PRIMARY KEY (study, site)
) STRICT;
CREATE TABLE IF NOT EXISTS weights (
    site TEXT NOT NULL REFERENCES sites, part TEXT NOT NULL, study TEXT NOT NULL REFERENCES studies,
    kept INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (site, part)
) STRICT;
CREATE TABLE IF NOT EXISTS sums (
    study TEXT NOT NULL REFERENCES studies, round INTEGER NOT NULL, signed TEXT NOT NULL,
    told INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (study, round)
) STRICT;
CREATE TABLE IF NOT EXISTS logs (
    site TEXT PRIMARY KEY REFERENCES sites, checkpoint TEXT NOT NULL, balance TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS two_histories (
    site TEXT PRIMARY KEY REFERENCES sites, first TEXT NOT NULL, second TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS account (one INTEGER PRIMARY KEY CHECK (one = 1), email TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS addresses (
    address TEXT PRIMARY KEY, site TEXT NOT NULL UNIQUE REFERENCES sites,
    standing TEXT NOT NULL, packages TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites, terms TEXT NOT NULL, unsent_code BLOB,
    status TEXT, detail TEXT NOT NULL DEFAULT '', decision TEXT, outputs_attempt INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS questions (
    site TEXT NOT NULL REFERENCES sites, request TEXT NOT NULL, number INTEGER NOT NULL,
    asker TEXT NOT NULL, question TEXT NOT NULL, answer TEXT, PRIMARY KEY (site, request, number)
) STRICT;
CREATE TABLE IF NOT EXISTS job_mail (
    number INTEGER PRIMARY KEY AUTOINCREMENT, site TEXT NOT NULL REFERENCES sites, message TEXT NOT NULL
) STRICT;
"""


class State:
    """The researcher's state file, SQLite with `synchronous=FULL`, and beside it a file for each study's model.

    One process at a time; any thread of it.
    """

    def __init__(self, path: Path) -> None:
        self._models = path.parent / "models"
        make_private_folder(self._models)
        self._lock = RLock()
        self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction() as connection:
            connection.executescript(_SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Let go of the state file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change: committed when the block ends, undone if it raises."""
        with self._lock, self._connection:
            yield self._connection

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
        cards = [_card(row["card"]) for row in rows]
        return {card.party: card for card in cards}

    def next_numbers(self, sites: Iterable[str]) -> dict[str, int]:
        """The number of the next message to each of `sites`; on disk before it is used."""
        with self.transaction() as connection:
            return {
                site: connection.execute(
                    "UPDATE sites SET outgoing = outgoing + 1 WHERE party = ? RETURNING outgoing", (site,)
                ).fetchone()["outgoing"]
                for site in sites
            }

    def take_number(self, connection: sqlite3.Connection, site: str, number: int) -> None:
        """Accept `number` as the newest from `site`.

        Raises:
            ConflictError: it was used before: a replay.
        """
        row = connection.execute("SELECT incoming FROM sites WHERE party = ?", (site,)).fetchone()
        check_number(row["incoming"], number)
        connection.execute("UPDATE sites SET incoming = ? WHERE party = ?", (number, site))

    def study(self, study: str) -> sqlite3.Row:
        """The row of a study, and its rule for early stopping as `stopping_rule`, None if it has none.

        Raises:
            InvalidInputError: there is none of this name.
        """
        with self.transaction() as connection:
            row: sqlite3.Row | None = connection.execute(
                "SELECT * FROM studies LEFT JOIN stopping_rules USING (study) WHERE study = ?", (study,)
            ).fetchone()
        if row is None:
            raise InvalidInputError(f"This researcher's folder has no study {study}; submit it first.")
        return row

    def add_study(
        self,
        study: str,
        columns: Mapping[str, str],
        parameters: bytes,
        model: bytes,
        tokeniser: bytes | None,
        stopping_rule: str | None,
    ) -> None:
        """Keep a new study: the files that it brings and its global model, and the row once they are on disk."""
        write_private_file(self._parameters_file(study), parameters)
        write_private_file(self._model_file(study, 0), model)
        if tokeniser is not None:
            write_private_file(self._tokeniser_file(study), tokeniser)
        names = ", ".join(("study", *columns))
        with self.transaction() as connection:
            connection.execute(
                f"INSERT INTO studies ({names}) VALUES (?{', ?' * len(columns)})",  # noqa: S608 – our names
                (study, *columns.values()),
            )
            if stopping_rule is not None:
                connection.execute("INSERT INTO stopping_rules VALUES (?, ?)", (study, stopping_rule))

    def parameters(self, study: str) -> bytes:
        """The parameter file that the study was submitted with."""
        return self._parameters_file(study).read_bytes()

    def tokeniser(self, study: str) -> bytes:
        """The tokeniser that a study on texts was submitted with."""
        return self._tokeniser_file(study).read_bytes()

    def model(self, study: str) -> NDArray[np.float32]:
        """The newest global model, float32 [parameter_count]."""
        return np.fromfile(self._model_file(study, self.study(study)["round"]), "<f4")

    def finish_round(
        self, study: str, number: int, model: NDArray[np.float32], history: str, opened: SignedSum
    ) -> None:
        """Keep the model that round `number` gave, the history and what was opened with it: all or nothing."""
        write_private_file(self._model_file(study, number), model.astype("<f4", copy=False).tobytes())
        with self.transaction() as connection:
            connection.execute("UPDATE studies SET round = ?, history = ? WHERE study = ?", (number, history, study))
            signed = opened.canonical().decode()
            connection.execute("INSERT INTO sums (study, round, signed) VALUES (?, ?, ?)", (study, number, signed))
        self._model_file(study, number - 1).unlink(missing_ok=True)

    def sums(self, study: str, *, untold: bool = False) -> list[SignedSum]:
        """The opened sums in the order of their rounds; with `untold`, those that the sites were not told of yet."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT signed FROM sums WHERE study = ? AND told <= ? ORDER BY round", (study, 0 if untold else 1)
            ).fetchall()
        maximum = MAXIMUM_SIGNED_SUM_BYTES
        return [
            parse_model(SignedSum, row["signed"].encode(), maximum_bytes=maximum, what="A stored sum") for row in rows
        ]

    def told_sum(self, study: str, number: int) -> None:
        """Write down that every site was told what round `number` opened."""
        with self.transaction() as connection:
            connection.execute("UPDATE sums SET told = 1 WHERE study = ? AND round = ?", (study, number))

    def _model_file(self, study: str, number: int) -> Path:
        return self._models / f"{study}-{number}.f32"

    def _parameters_file(self, study: str) -> Path:
        return self._models / f"{study}.safetensors"

    def _tokeniser_file(self, study: str) -> Path:
        return self._models / f"{study}-tokeniser.json"

    def update_study(self, study: str, *, run: str | None, roster: str | None = None) -> None:
        """Write down a study's run and, once there is one, its roster."""
        with self.transaction() as connection:
            connection.execute("UPDATE studies SET run = ?, roster = ? WHERE study = ?", (run, roster, study))


@lru_cache(maxsize=1024)
def _card(text: str) -> IdentityCard:
    return parse_card(text.encode())
