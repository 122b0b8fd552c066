"""The relay's blobs: sealed content as files named by their digest, and uploads that may go on after a break."""

import os
import sqlite3
from pathlib import Path
from typing import BinaryIO

from datasites.protocol.blobs import MAXIMUM_SEALED_BYTES
from datasites.protocol.private_files import make_private_folder, sync_folder
from datasites.relay.store import RelayStore
from datasites.relay.upload import Upload
from policies.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError
from policies.statements.schema import Digest, PartyId

KEPT_SECONDS = 30 * 24 * 3600
UPLOAD_KEPT_SECONDS = 24 * 3600
"""How long a begun upload may be continued."""


class BlobFolder:
    """The blobs beside a relay's database; one process at a time may open it. Every method may take disk time."""

    def __init__(self, store: RelayStore) -> None:
        self._store = store
        self._most_bytes, self._most_uploads = store.quotas.blob_bytes, store.quotas.uploads
        self._folder = store.folder / "blobs"
        self._running: dict[tuple[PartyId, Digest], Upload] = {}
        make_private_folder(self._folder)
        with store.writing() as connection:
            for (digest,) in connection.execute("SELECT digest FROM blobs").fetchall():
                # Removing a blob unlinks its file before the row is gone for good.
                if not (self._folder / digest).exists():
                    connection.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            known = {row[0] for row in connection.execute("SELECT digest FROM blobs")}
            known |= {self._part(*row).name for row in connection.execute("SELECT uploader, digest FROM uploads")}
        for path in self._folder.iterdir():
            # What a crash left between the file and its row in the database.
            if path.name not in known:
                path.unlink()

    def open(self, digest: Digest) -> BinaryIO | None:
        """A stored blob, readable to its end even if it is removed meanwhile; or None."""
        try:
            # A file bears its bare digest only once its content was checked.
            return (self._folder / digest).open("rb", buffering=0)
        except FileNotFoundError:
            return None

    def received(self, uploader: PartyId, digest: Digest, size: int, now: int) -> int:
        """How many bytes of this content the relay has from `uploader`: all of them if it is stored.

        A stored blob of its own counts as stored anew; another's does not, for it fills that other member's share. The
        bound on this member's blobs is checked before anything is sent.

        Raises:
            RefusedError: larger than any blob, or than all that a member may store.
            UnavailableError: this member's begun uploads leave no room for it.
        """
        with self._store.writing() as connection:
            row = connection.execute("SELECT size FROM blobs WHERE digest = ?", (digest,)).fetchone()
            # A file is removed before its row: what ended in between may have left the row alone.
            if row == (size,) and (self._folder / digest).exists():
                own = (now, digest, uploader)
                connection.execute("UPDATE blobs SET stored_at = ? WHERE digest = ? AND uploader = ?", own)
                return size
            self._require_room(connection, uploader, digest, size, now)
        part = self._part(uploader, digest)
        there = part.stat().st_size if part.exists() else 0
        return self._keep_whole(uploader, digest, size, now) if there == size else there

    def _keep_whole(self, uploader: PartyId, digest: Digest, size: int, now: int) -> int:
        """Keep content that had come whole when a crash or a broken connection left its upload unfinished."""
        upload = self.upload(uploader, digest, size, size, now)
        try:
            while upload.take_up():
                pass
            if not upload.finish():
                return 0
            self.keep(uploader, upload, now)
        except InvalidInputError:
            self.give_up(uploader, upload)
            return 0
        finally:
            self.leave(uploader, upload)
        return size

    def upload(self, uploader: PartyId, digest: Digest, offset: int, size: int, now: int) -> Upload:
        """Begin to receive content of `size` bytes, or go on at `offset`; an upload of the same that hangs is ended.

        Raises:
            ConflictError: the relay has another number of bytes than `offset`; ask it again.
            RefusedError, UnavailableError: as for `received`.
        """
        running = self._running.pop((uploader, digest), None)
        if running is not None:
            running.close()  # which may wait for the disk: not while everybody's letters wait as well
        with self._store.writing() as connection:
            if (uploader, digest) in self._running:
                raise ConflictError("Another request goes on with this upload.")
            self._require_room(connection, uploader, digest, size, now)
            part = self._part(uploader, digest)
            if (part.stat().st_size if part.exists() else 0) != offset or offset > size:
                raise ConflictError("The relay has another part of this content; ask it how much.")
            connection.execute(
                "INSERT INTO uploads (uploader, digest, size, begun_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (uploader, digest) DO UPDATE SET size = excluded.size",
                (uploader, digest, size, now),
            )
            upload = Upload(part, digest, size)
            self._running[uploader, digest] = upload
        return upload

    def leave(self, uploader: PartyId, upload: Upload) -> None:
        """End an upload that broke off; it may be continued."""
        upload.close()
        if self._running.get((uploader, upload.digest)) is upload:
            self._running.pop((uploader, upload.digest), None)

    def keep(self, uploader: PartyId, upload: Upload, now: int) -> None:
        """Make a blob visible that came whole.

        Raises:
            InvalidInputError: the content has another digest; it is gone.
        """
        with self._store.writing() as connection:
            if self._running.get((uploader, upload.digest)) is not upload:
                raise ConflictError("Another request goes on with this upload.")
            self._running.pop((uploader, upload.digest), None)
            digest, row = upload.digest, (uploader, upload.digest)
            connection.execute("DELETE FROM uploads WHERE uploader = ? AND digest = ?", row)
            # Files change only under the database's write lock, so that no upload meets a removal of its own name.
            self._remove(connection, "SELECT digest FROM blobs WHERE stored_at < ?", (now - KEPT_SECONDS,))
            self._make_room(connection, uploader, upload.size)
            upload.path.replace(self._folder / digest)
            sync_folder(self._folder)
            connection.execute(
                "INSERT INTO blobs (digest, uploader, size, stored_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at WHERE uploader = excluded.uploader",
                (digest, uploader, upload.size, now),
            )

    def give_up(self, uploader: PartyId, upload: Upload) -> None:
        """Forget an upload whose content turned out to be wrong."""
        with self._store.writing() as connection:
            self.leave(uploader, upload)
            self._forget_upload(connection, uploader, upload.digest)

    def _require_room(
        self, connection: sqlite3.Connection, uploader: PartyId, digest: Digest, size: int, now: int
    ) -> None:
        if size > min(MAXIMUM_SEALED_BYTES, self._most_bytes):
            raise RefusedError(f"A blob of {size} bytes is more than this relay takes from one member.")
        old = "SELECT uploader, digest FROM uploads WHERE begun_at < ?"
        for row in connection.execute(old, (now - UPLOAD_KEPT_SECONDS,)).fetchall():
            if row not in self._running:
                self._forget_upload(connection, *row)
        begun, reserved = connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM uploads WHERE uploader = ? AND digest != ?",
            (uploader, digest),
        ).fetchone()
        if begun >= self._most_uploads or reserved + size > self._most_bytes:
            raise UnavailableError("This member's begun uploads leave no room for another; finish them first.")
        self._make_room(connection, uploader, reserved + size)

    def _make_room(self, connection: sqlite3.Connection, uploader: PartyId, size: int) -> None:
        used = connection.execute(
            "SELECT coalesce(sum(size), 0) FROM blobs WHERE uploader = ?", (uploader,)
        ).fetchone()[0]
        oldest_first = "SELECT digest, size FROM blobs WHERE uploader = ? ORDER BY stored_at, digest"
        for digest, freed in connection.execute(oldest_first, (uploader,)).fetchall():
            if used + size <= self._most_bytes:
                return
            used -= freed
            self._remove(connection, "SELECT digest FROM blobs WHERE digest = ?", (digest,))

    def _remove(self, connection: sqlite3.Connection, chosen: str, values: tuple[object, ...]) -> None:
        for (digest,) in connection.execute(chosen, values).fetchall():
            connection.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            (self._folder / digest).unlink(missing_ok=True)

    def _forget_upload(self, connection: sqlite3.Connection, uploader: PartyId, digest: Digest) -> None:
        connection.execute("DELETE FROM uploads WHERE uploader = ? AND digest = ?", (uploader, digest))
        self._part(uploader, digest).unlink(missing_ok=True)

    def _part(self, uploader: PartyId, digest: Digest) -> Path:
        return self._folder / f"{digest}-{uploader}"


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Up to `length` bytes of a stored blob."""
    return os.pread(file.fileno(), length, offset)
