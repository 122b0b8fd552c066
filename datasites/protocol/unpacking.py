"""Files, or parts of one, that travel one after the other as one content: taken apart while the bytes come."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from policies.errors import InvalidInputError


def unpack(content: Iterable[bytes], files: Sequence[tuple[Path, int]]) -> None:
    """Write files of these sizes, whose bytes come one after the other; on disk when this returns.

    Raises:
        InvalidInputError: the bytes are fewer or more.
    """
    pieces = Pieces(content)
    for path, size in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for piece in pieces.take(size):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    pieces.require_end()


class Pieces:
    """Content that comes in pieces cut anywhere, given out in portions of known sizes."""

    def __init__(self, content: Iterable[bytes]) -> None:
        self._coming = iter(content)
        self._rest = memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes.

        Raises:
            InvalidInputError: there are fewer left.
        """
        while size:
            piece = self._next()
            if not piece:
                raise InvalidInputError("The content is shorter than its files were announced to be; it was not taken.")
            portion, self._rest = piece[:size], piece[size:]
            size -= len(portion)
            yield portion

    def require_end(self) -> None:
        """Raises InvalidInputError if anything is left."""
        if self._next():
            raise InvalidInputError("The content is longer than its files were announced to be; it was not taken.")

    def _next(self) -> memoryview:
        while not self._rest:
            piece = next(self._coming, None)
            if piece is None:
                break
            self._rest = memoryview(piece)
        return self._rest
