"""The relay's blobs: sealed content as files named by their digest, streamed to disk and bounded for each member."""

import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from datasites.protocol.private_files import make_private_folder, sync_folder
from datasites.relay.store import RelayStore, blobs
from policies.errors import InvalidInputError
from policies.statements.schema import Digest, PartyId

KEPT_SECONDS = 30 * 24 * 3600
MAXIMUM_MEMBER_BYTES = 32 * 1024**3
"""What one member's blobs may fill; beyond it that member's own oldest ones make room."""


class BlobFolder:
    """The blobs beside a relay's database; one process at a time may open it."""

    def __init__(self, store: RelayStore) -> None:
        self._store = store
        self._folder = store.folder / "blobs"
        make_private_folder(self._folder)
        with store.engine.begin() as connection:
            known = set(connection.execute(select(blobs.c.digest)).scalars())
        for path in self._folder.iterdir():
            # What a crash left between the file and its row in the database.
            if path.name not in known:
                path.unlink()

    def path(self, digest: Digest) -> Path | None:
        """The file of a stored blob, or None."""
        path = self._folder / digest
        with self._store.engine.begin() as connection:
            known = connection.execute(select(blobs.c.digest).where(blobs.c.digest == digest)).first()
        return path if known is not None and path.exists() else None

    def upload(self, uploader: PartyId, digest: Digest) -> "Upload":
        """Begin to store a blob; nothing is visible under `digest` before `Upload.finish`."""
        return Upload(self, uploader, digest, self._folder / f"incoming-{secrets.token_hex(16)}")

    def keep(self, uploader: PartyId, digest: Digest, temporary: Path, now: int) -> None:
        """Give a file that is complete and on disk its name, after old blobs made room for it."""
        size = temporary.stat().st_size
        with self._store.engine.begin() as connection:
            # Files change only under the database's write lock, so that no upload meets a removal of its own name.
            self._remove(connection, blobs.c.stored_at < now - KEPT_SECONDS)
            self._make_room(connection, uploader, size)
            temporary.replace(self._folder / digest)
            sync_folder(self._folder)
            values = {"digest": digest, "uploader": uploader, "size": size, "stored_at": now}
            connection.execute(
                insert(blobs).values(values).on_conflict_do_update(index_elements=["digest"], set_={"stored_at": now})
            )

    def _make_room(self, connection: Connection, uploader: PartyId, size: int) -> None:
        own = blobs.c.uploader == uploader
        used = connection.execute(select(func.coalesce(func.sum(blobs.c.size), 0)).where(own)).scalar_one()
        oldest_first = connection.execute(
            select(blobs.c.digest, blobs.c.size).where(own).order_by(blobs.c.stored_at, blobs.c.digest)
        ).all()
        for row in oldest_first:
            if used + size <= MAXIMUM_MEMBER_BYTES:
                return
            used -= row.size
            self._remove(connection, blobs.c.digest == row.digest)

    def _remove(self, connection: Connection, condition: ColumnElement[bool]) -> None:
        for digest in connection.execute(delete(blobs).where(condition).returning(blobs.c.digest)).scalars().all():
            (self._folder / digest).unlink(missing_ok=True)


class Upload:
    """A blob on its way to disk, as a context: whatever was not finished is gone at its end."""

    def __init__(self, folder: BlobFolder, uploader: PartyId, digest: Digest, temporary: Path) -> None:
        self._folder = folder
        self._uploader = uploader
        self._digest = digest
        self._temporary = temporary
        self._hash = hashlib.sha256()
        self._file = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self._hash.update(piece)
        self._file.write(piece)

    def finish(self, now: int) -> None:
        """Make the blob visible, if what came is what was announced.

        Raises:
            InvalidInputError: the content has another digest.
        """
        if self._hash.hexdigest() != self._digest:
            raise InvalidInputError("The content does not have the digest that it was announced under; send it again.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._folder.keep(self._uploader, self._digest, self._temporary, now)
