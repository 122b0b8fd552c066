"""Contents: what is too large for a row lies in files beside the database, on disk before any row refers to it."""

import fcntl
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from datasites.protocol.blobs import CHUNK_BYTES, BlobReference, seal_stream
from datasites.protocol.content import MAXIMUM_LETTER_CONTENT_BYTES, LetterContent, in_letter
from datasites.protocol.private_files import make_private_folder, sync_folder
from datasites.protocol.sealed import SealedFile
from policies.errors import InvalidInputError, NotAuthenticError, UnavailableError
from policies.statements.digests import RunningDigest

Piece = bytes | memoryview
Filled = TypeVar("Filled")


@dataclass(frozen=True)
class SavedFile:
    """A file of the folder, and the digest (under the domain that it was saved for) of what is in it."""

    name: str
    digest: str


class ContentFolder:
    """Files that never change, each written once; `sweep` removes what no row refers to.

    A file is in use from its first byte until the block that wrote it ends, by when a row refers to it or never will.
    Whoever uses it holds a lock on it, which other processes heed too.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder

    @contextmanager
    def saved(self, pieces: Iterable[Piece], domain: str, size: int) -> Iterator[SavedFile]:
        """Write `size` bytes as they come to a new file; gives it once it is on disk, with its digest in `domain`.

        Raises:
            InvalidInputError: the pieces do not add up to `size`.
            UnavailableError: the disk has no room for it.
        """
        digest = RunningDigest(domain, size)
        with self._draft() as (name, file):
            with self._whole_or_gone(name):
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
                named = digest.hexdigest()
                _finish(file)
                sync_folder(self._folder)
            yield SavedFile(name, named)

    @contextmanager
    def filled(self, fill: Callable[[Callable[[Piece], object]], Filled]) -> Iterator[tuple[str, Filled]]:
        """Let `fill` write a new file, of whatever size; gives the file's name once it is on disk, and what it gave.

        Raises:
            UnavailableError: the disk has no room for it.
        """
        with self._draft() as (name, file):
            with self._whole_or_gone(name):
                given = fill(file.write)
                _finish(file)
                sync_folder(self._folder)
            yield name, given

    @contextmanager
    def enclosed(self, pieces: Iterable[Piece], size: int) -> Iterator[LetterContent | BlobReference]:
        """What a message says of `size` bytes: small content itself, else where it lies sealed in a new file.

        Raises:
            InvalidInputError: the pieces do not add up to `size`.
            UnavailableError: the disk has no room for it.
        """
        if size <= MAXIMUM_LETTER_CONTENT_BYTES:
            yield in_letter(pieces, size)
            return
        with self._draft() as (name, file):
            with self._whole_or_gone(name):
                reference = seal_stream(pieces, size, file.write)
                _finish(file)
            (self._folder / name).replace(self._folder / reference.digest)
            sync_folder(self._folder)
            yield reference

    def read(self, name: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """The content of a file in pieces, or of the `size` bytes of it from `start` on, as far as there are any."""
        left = self.size(name) - start if size is None else size
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            while piece := file.read(min(left, CHUNK_BYTES)):
                left -= len(piece)
                yield piece

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return (self._folder / name).is_file()

    def size(self, name: str) -> int:
        """How many bytes a file has."""
        return (self._folder / name).stat().st_size

    def checked(self, file: SavedFile, domain: str) -> Iterator[bytes]:
        """The content of a file in pieces, the last of them only once all of it had its digest in `domain`.

        Raises:
            NotAuthenticError: the file is gone or was changed; nothing given so far may be used.
        """
        changed = NotAuthenticError("A stored content is gone, or is not the one that was received; nothing was run.")
        last = b""
        try:
            digest = RunningDigest(domain, self.size(file.name))
            for piece in self.read(file.name):
                digest.update(piece)
                if last:
                    yield last
                last = piece
            if digest.hexdigest() != file.digest:
                raise changed
        except (FileNotFoundError, InvalidInputError) as error:
            raise changed from error
        yield last

    def holds(self, file: SavedFile, domain: str) -> bool:
        """Whether the file is there and still has its digest in `domain`."""
        try:
            for _ in self.checked(file, domain):
                pass
        except NotAuthenticError:
            return False
        return True

    def sealed_file(self, reference: BlobReference) -> SealedFile:
        """What `enclosed` wrote, to be handed to the relay."""
        return SealedFile(self._folder / reference.digest, reference)

    def sweep(self, referred: Callable[[], Collection[str]]) -> None:
        """Remove what is neither in use nor referred to; `referred` is asked after the folder was listed."""
        found = {path.name for path in self._folder.iterdir()}
        if not found:
            return
        with ExitStack() as held:
            unused = [name for name in found - set(referred()) if self._hold(name, held)]
            if unused:  # a row may refer by now to what was in use before
                for name in set(unused) - set(referred()):
                    (self._folder / name).unlink(missing_ok=True)

    def _hold(self, name: str, held: ExitStack) -> bool:
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def _draft(self) -> Iterator[tuple[str, BinaryIO]]:
        name, descriptor = self._new_file()
        while not os.fstat(descriptor).st_nlink:  # it was swept away before it was locked
            os.close(descriptor)
            name, descriptor = self._new_file()
        with os.fdopen(descriptor, "wb") as file:
            yield name, file

    def _new_file(self) -> tuple[str, int]:
        name = secrets.token_hex(16)
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return name, descriptor

    @contextmanager
    def _whole_or_gone(self, name: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            (self._folder / name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise UnavailableError("This site's disk did not take this content; tell its owner.") from error
            raise


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
