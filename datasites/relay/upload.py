"""One upload on its way to disk: hashed and written piece by piece, and left as it is when its connection breaks."""

import hashlib
import os
import threading
from pathlib import Path

from policies.errors import ConflictError, InvalidInputError
from policies.statements.schema import Digest

_READ_BYTES = 4 * 1024 * 1024


class Upload:
    """Receives the content with `digest` into `path`, behind what an earlier connection left there."""

    def __init__(self, path: Path, digest: Digest, size: int) -> None:
        self.path, self.digest, self.size = path, digest, size
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._ended = False

    def take_up(self) -> bool:
        """Hash a part of what an earlier connection left; False when nothing of it is left, and `write` may follow.

        Only a part, since all of it may take seconds, in which nobody else would have this thread.

        Raises:
            ConflictError: another connection goes on with this upload.
        """
        with self._lock:
            piece = os.pread(self._require_open(), _READ_BYTES, self._hashed)
            self._hash.update(piece)
            self._hashed += len(piece)
            return bool(piece)

    def write(self, piece: bytes | bytearray) -> None:
        """Add the next piece.

        Raises:
            ConflictError: another connection goes on with this upload.
            InvalidInputError: this is more than was announced.
        """
        with self._lock:
            if self._hashed + len(piece) > self.size:
                raise InvalidInputError("More came than was announced.")
            view = memoryview(piece)
            while view:
                written = os.write(self._require_open(), view)
                self._hash.update(view[:written])
                self._hashed += written
                view = view[written:]

    def finish(self) -> bool:
        """Whether the content came whole; then it is on disk.

        Raises:
            InvalidInputError: it came whole, but has another digest.
        """
        with self._lock:
            file = self._require_open()
            if self._hashed < self.size:
                return False
            if self._hash.hexdigest() != self.digest:
                raise InvalidInputError(
                    "The content does not have the digest that it was announced under; send it again."
                )
            os.fsync(file)
            return True

    def close(self) -> None:
        """Write no more; what came is kept."""
        self._ended = True  # seen before the next step, so that nobody waits for more than one
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def _require_open(self) -> int:
        if self._ended or self._file is None:
            raise ConflictError("Another request goes on with this upload.")
        return self._file
