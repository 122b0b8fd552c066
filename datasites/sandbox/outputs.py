"""The outputs of an errand: read after all its processes have ended, without following a link anywhere."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from datasites.sandbox.messages import Complete
from policies.jobs.names import DEEPEST_PATH, FILE_NAME, LONGEST_PATH
from policies.jobs.release import MAXIMUM_OUTPUTS

PIECE = 2**20
_PART = re.compile(FILE_NAME)
_MOST_ENTRIES = 20_000


@dataclass
class LeftOut:
    """How many things were passed over, by the reason."""

    links: int = 0
    specials: int = 0
    badly_named: int = 0
    too_deep: int = 0
    too_many: int = 0
    too_large: int = 0

    def message(self) -> Complete:
        """These numbers, for the datasite."""
        return Complete(**self.__dict__)


@dataclass
class Collection:
    """A walk over the regular files below an open folder, in order of their names; `left_out` counts what it passes."""

    folder: int
    most_bytes: int
    left_out: LeftOut = field(default_factory=LeftOut)
    _files: int = 0
    _entries: int = 0

    def files(self) -> Iterator[tuple[str, int, int]]:
        """Each file's name, size and open descriptor, which is closed when the next one is asked for."""
        return self._walk(self.folder, ())

    def _walk(self, folder: int, parents: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
        for name in sorted(os.listdir(folder)):
            self._entries += 1
            if self._entries > _MOST_ENTRIES:
                self.left_out.too_many += 1
                return
            descriptor = self._open(folder, name, parents)
            if descriptor is None:
                continue
            try:
                known = os.fstat(descriptor)
                if stat.S_ISDIR(known.st_mode):
                    yield from self._walk(descriptor, (*parents, name))
                elif self._accepts(known):
                    yield "/".join((*parents, name)), known.st_size, descriptor
            finally:
                os.close(descriptor)

    def _open(self, folder: int, name: str, parents: tuple[str, ...]) -> int | None:
        try:
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(kind):
                self.left_out.links += 1
            elif not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                self.left_out.specials += 1
            elif not _PART.fullmatch(name) or len("/".join((*parents, name))) > LONGEST_PATH:
                self.left_out.badly_named += 1
            elif len(parents) + 1 > DEEPEST_PATH:
                self.left_out.too_deep += 1
            else:
                return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:  # its mode, or its folder's, forbids it
            self.left_out.specials += 1
        return None

    def _accepts(self, known: os.stat_result) -> bool:
        if known.st_nlink != 1:
            self.left_out.links += 1
        elif self._files >= MAXIMUM_OUTPUTS:
            self.left_out.too_many += 1
        elif known.st_size > self.most_bytes:
            self.left_out.too_large += 1
        else:
            self._files += 1
            self.most_bytes -= known.st_size
            return True
        return False


def pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """The `size` bytes of a file that nobody writes to any more."""
    at = 0
    while at < size:
        piece = os.pread(descriptor, min(PIECE, size - at), at)
        if not piece:
            raise OSError("a file ended before its end")
        at += len(piece)
        yield piece


def plain_words(complete: Complete) -> tuple[str, ...]:
    """What was passed over, for people."""
    words = {
        "link": complete.links,
        "device, pipe or unreadable file": complete.specials,
        "file with a name that is not plain": complete.badly_named,
        "file in too many folders": complete.too_deep,
        "file beyond the greatest number": complete.too_many,
        "file beyond the size limit": complete.too_large,
    }
    return tuple(_counted(count, what) for what, count in words.items() if count)


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what.replace('file', 'files').replace('link', 'links')}"
