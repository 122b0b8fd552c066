"""One upload on its way to disk: hashed and written piece by piece, and left as it is when its connection breaks."""

import hashlib
import os
import threading
from pathlib import Path

from policies.errors import ConflictError, InvalidInputError
from policies.statements.schema import Digest

_READ_BYTES = 1024 * 1024


class Upload:
    """Receives the content with `digest` into `path`, behind what an earlier connection left there."""

    def __init__(self, path: Path, digest: Digest, size: int) -> None:
        self.path, self.digest, self.size = path, digest, size
        self._lock = threading.Lock()
        self._hash: hashlib._Hash | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._open = True

    def write(self, piece: bytes | bytearray) -> None:
        """Add the next piece.

        Raises:
            ConflictError: another connection goes on with this upload.
            InvalidInputError: this is more than was announced.
        """
        with self._lock:
            self._require_open()
            if os.fstat(self._file).st_size + len(piece) > self.size:
                raise InvalidInputError("More came than was announced.")
            hasher = self._hasher()
            view = memoryview(piece)
            while view:
                written = os.write(self._file, view)
                hasher.update(view[:written])
                view = view[written:]

    def finish(self) -> bool:
        """Whether the content came whole; then it is on disk.

        Raises:
            InvalidInputError: it came whole, but has another digest.
        """
        with self._lock:
            self._require_open()
            if os.fstat(self._file).st_size < self.size:
                return False
            if self._hasher().hexdigest() != self.digest:
                raise InvalidInputError(
                    "The content does not have the digest that it was announced under; send it again."
                )
            os.fsync(self._file)
            return True

    def close(self) -> None:
        """Write no more; what came is kept."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._file)

    def _hasher(self) -> "hashlib._Hash":
        if self._hash is None:
            self._hash = hashlib.sha256()
            offset = 0
            while piece := os.pread(self._file, _READ_BYTES, offset):
                self._hash.update(piece)
                offset += len(piece)
        return self._hash

    def _require_open(self) -> None:
        if not self._open:
            raise ConflictError("Another request goes on with this upload.")
