"""The folder of contents, swept while others write to it: also by another process, as the owner's commands are."""

from collections.abc import Collection
from pathlib import Path

import pytest

from datasites.store.contents import ContentFolder

DOMAIN = "test"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[ContentFolder, ContentFolder]:
    """One folder, as two processes have it open."""
    return ContentFolder(tmp_path / "contents"), ContentFolder(tmp_path / "contents")


def nothing() -> Collection[str]:
    return ()


def test_what_another_process_has_in_use_is_not_swept(folders: tuple[ContentFolder, ContentFolder]) -> None:
    ours, its = folders
    with ours.saved((b"mock",), DOMAIN, 4) as file:
        its.sweep(nothing)
        assert its.has(file.name)
    its.sweep(lambda: (file.name,))
    assert its.has(file.name)
    its.sweep(nothing)
    assert not its.has(file.name)


def test_what_is_being_written_is_not_swept(folders: tuple[ContentFolder, ContentFolder]) -> None:
    ours, its = folders

    def pieces() -> Collection[bytes]:
        its.sweep(nothing)
        return (b"x" * 100_000,)

    with ours.saved((piece for _ in (1,) for piece in pieces()), DOMAIN, 100_000) as file:
        assert ours.size(file.name) == 100_000
    with ours.enclosed((piece for _ in (1,) for piece in pieces()), 100_000) as reference:
        its.sweep(nothing)
        assert its.has(reference.digest)  # type: ignore[union-attr]
    its.sweep(nothing)
    assert not its.has(reference.digest)  # type: ignore[union-attr]


def test_what_a_row_refers_to_only_by_the_second_look_stays(folders: tuple[ContentFolder, ContentFolder]) -> None:
    """Its block ended between the sweep's two looks at the rows."""
    ours, its = folders
    with ours.saved((b"mock",), DOMAIN, 4) as file:
        pass
    looks = [(), (file.name,)]
    its.sweep(lambda: looks.pop(0))
    assert its.has(file.name)
    assert looks == []
