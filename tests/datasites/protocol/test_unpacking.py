"""Files that travel one after the other are the same files afterwards, wherever the bytes were cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.protocol.unpacking import unpack
from policies.errors import InvalidInputError

FILES = {"a/one": b"first", "empty": b"", "two": bytes(range(256)) * 40, "z": b"."}


def cut(content: bytes, size: int) -> Iterator[bytes]:
    yield from (content[start : start + size] for start in range(0, len(content), size))


def sizes(folder: Path) -> list[tuple[Path, int]]:
    return [(folder / name, len(content)) for name, content in FILES.items()]


@pytest.mark.parametrize("size", [1, 3, 5, 4096, 1 << 20])
def test_every_file_is_written_whole(tmp_path: Path, size: int) -> None:
    unpack(cut(b"".join(FILES.values()), size), sizes(tmp_path))
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


def test_pieces_without_bytes_change_nothing(tmp_path: Path) -> None:
    unpack([b"", *cut(b"".join(FILES.values()), 7), b"", b""], sizes(tmp_path))
    assert (tmp_path / "z").read_bytes() == b"."


@pytest.mark.parametrize(("change", "said"), [(-1, "shorter"), (1, "longer")])
def test_content_of_another_size_is_refused(tmp_path: Path, change: int, said: str) -> None:
    content = b"".join(FILES.values()) + b"x"
    with pytest.raises(InvalidInputError, match=said):
        unpack(cut(content[: len(content) - 1 + change], 100), sizes(tmp_path))


def test_nothing_that_stands_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "z").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        unpack(cut(b"".join(FILES.values()), 100), sizes(tmp_path))
    assert (tmp_path / "z").read_bytes() == b"mine"
