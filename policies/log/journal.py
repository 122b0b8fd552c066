"""The log in the datasite's database: entries are appended in the transaction that makes the change they record."""

from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from policies.database import metadata
from policies.errors import ConflictError, NotAuthenticError
from policies.log import merkle
from policies.log.bundle import SiteFacts, write_bundle
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.entries import LogEntry, parse_entry

log_entries = Table(
    "log_entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False, comment="from 0, without holes"),
    Column("entry", LargeBinary, nullable=False, comment="canonical JSON"),
    Column("leaf_hash", LargeBinary, nullable=False, comment="RFC 6962"),
    Column("latest", BigInteger, nullable=False, comment="the latest moment that an entry up to this one names"),
    Index(None, "leaf_hash", "position"),
)

_LAST = select(log_entries.c.position, log_entries.c.latest).order_by(log_entries.c.position.desc()).limit(1)


def append(connection: Connection, entry: LogEntry) -> int:
    """Write `entry` at the end, in the caller's transaction, and give back its position (from 0).

    Raises:
        ConflictError: another transaction appended at the same time; roll back and try again.
    """
    last = connection.execute(_LAST).one_or_none()
    position, latest = (0, entry.at) if last is None else (last.position + 1, max(last.latest, entry.at))
    data = entry.canonical()
    row = insert(log_entries).values(position=position, entry=data, leaf_hash=merkle.leaf_hash(data), latest=latest)
    try:
        connection.execute(row)
    except IntegrityError as error:
        raise ConflictError("Another transaction wrote to the log at the same time; try again.") from error
    return position


def position_of(connection: Connection, entry: LogEntry) -> int | None:
    """Where `entry` first stands in the log (from 0); None if it is not in it."""
    same = log_entries.c.leaf_hash == merkle.leaf_hash(entry.canonical())
    first: int | None = connection.execute(select(func.min(log_entries.c.position)).where(same)).scalar_one()
    return first


def latest_moment(connection: Connection) -> int:
    """The latest moment that any entry names, in seconds since 1970: a clock that was set back does not undo it."""
    last = connection.execute(_LAST).one_or_none()
    return 0 if last is None else last.latest


def leaf_hashes(connection: Connection) -> list[bytes]:
    """Every entry's leaf hash in order, for tree heads and proofs.

    Raises:
        NotAuthenticError: a row is missing, so that this database is no longer the log that was written.
    """
    columns = (log_entries.c.position, log_entries.c.leaf_hash)
    rows = connection.execute(select(*columns).order_by(log_entries.c.position)).all()
    if rows and rows[-1].position != len(rows) - 1:
        raise NotAuthenticError(
            f"The log holds {len(rows)} entries and its last position is {rows[-1].position}: rows were removed. "
            "Restore the database from a backup that has them."
        )
    return [row.leaf_hash for row in rows]


def tree_head(connection: Connection) -> merkle.TreeHead:
    """Size and root hash of the log as this transaction sees it."""
    return merkle.tree_head(leaf_hashes(connection))


def entry_bytes(connection: Connection) -> list[bytes]:
    """Every entry's canonical bytes in order."""
    return list(connection.execute(select(log_entries.c.entry).order_by(log_entries.c.position)).scalars())


def entries(connection: Connection) -> Iterator[tuple[int, LogEntry]]:
    """Every position with its entry, in order."""
    return ((position, parse_entry(data)) for position, data in enumerate(entry_bytes(connection)))


def checkpoint(connection: Connection, log_key: Ed25519PrivateKey, site: str) -> bytes:
    """The signed checkpoint note of the log as it stands; `site` is this site's party id."""
    return sign_checkpoint(log_key, Checkpoint(log_origin(site), tree_head(connection)))


def export_bundle(
    connection: Connection, log_key: Ed25519PrivateKey, site: SiteFacts, cosigned: Sequence[bytes]
) -> bytes:
    """The whole log, its checkpoint and what witnesses cosigned as one file that an outsider can verify offline."""
    return write_bundle(site, checkpoint(connection, log_key, site.site), entry_bytes(connection), cosigned)
