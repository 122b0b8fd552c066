"""Files that are offered to jobs: committed to where they lie, and known again; mock ones are copied."""

import os
from pathlib import Path

import pytest

from datasites.catalog.file_sets import private_files, share_file_set
from datasites.execution.jobs.errands import mock_contents, opened_files
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError
from policies.log.job_entries import FileSetRegistered
from tests.one_job import MOCK, PRIVATE, JobScene


def opened(jobs: JobScene, name: str = "visits", **changes: object) -> list[str]:
    """Register, and open the private files."""
    file_set = jobs.register(name, **changes)  # type: ignore[arg-type]
    with private_files(jobs.scene.site, file_set) as files:
        return [os.pread(file.descriptor, file.size, 0).decode() for _, file in files]


def test_a_file_is_offered_where_it_lies(jobs: JobScene) -> None:
    assert opened(jobs) == [PRIVATE]
    file_set = jobs.register()
    assert mock_contents(jobs.scene.site, file_set) == {"visits.csv": MOCK.encode()}
    stored = [path.read_bytes() for path in (jobs.scene.site.home.folder / "contents").iterdir()]
    assert PRIVATE.encode() not in stored
    assert jobs.scene.audit().broken == []


def test_a_folder_is_a_set_of_its_plain_files(jobs: JobScene, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.csv", "a.csv", ".hidden"):
        (folder / name).write_text(name)
    assert opened(jobs, "folder", private=folder) == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: None, "holds 0 files"),
        (lambda folder: (folder / "sub").mkdir(), "not a regular file"),
        (lambda folder: os.mkfifo(folder / "pipe"), "not a regular file"),
        (lambda folder: (folder / "link").symlink_to("nowhere"), "cannot be read"),
        (lambda folder: (folder / "README.md").write_text("x"), "PySyft keeps the names"),
        (lambda folder: (folder / "a b.csv").write_text("x"), "another form"),
        (lambda folder: [(folder / f"{n}.csv").write_text("x") for n in range(101)], "holds 101 files"),
    ],
)
def test_other_folders_are_refused(jobs: JobScene, tmp_path: Path, make: object, sentence: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)  # type: ignore[operator]
    before = jobs.scene.count("file_sets")
    with pytest.raises(InvalidInputError, match=sentence):
        jobs.register("folder", private=folder)
    assert jobs.scene.count("file_sets") == before


def test_a_mock_that_is_a_private_file_is_refused(jobs: JobScene, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(PRIVATE)
    for mock in (jobs.private, copy):
        with pytest.raises(InvalidInputError, match="is a private file itself"):
            jobs.register("beds", mock=mock)


def test_a_name_of_a_data_set_is_taken(jobs: JobScene) -> None:
    with pytest.raises(ConflictError, match="clinic-a"):
        jobs.register("clinic-a")


@pytest.mark.parametrize("name", ["v1", "../x", "a b", ""])
def test_other_names_are_refused(jobs: JobScene, name: str) -> None:
    with pytest.raises(InvalidInputError):
        jobs.register(name)


def test_a_set_keeps_its_people(jobs: JobScene) -> None:
    """Else what leaves of it would be counted for the wrong ones."""
    assert jobs.register("beds", people_of="clinic-a").population is not None
    with pytest.raises(ConflictError, match="other people"):
        jobs.register("beds")
    with pytest.raises(ConflictError, match="other people"):
        jobs.register("visits", people_of="clinic-a")


def test_registering_again_takes_the_files_as_they_are(jobs: JobScene) -> None:
    first = jobs.register()
    same, other = jobs.register(), jobs.register(content=PRIVATE + "p999,1,1\n")
    assert first.commitment == same.commitment != other.commitment
    assert [it.commitment for it in jobs.logged(FileSetRegistered)][-3:] == [
        first.commitment,
        same.commitment,
        other.commitment,
    ]


def test_the_same_files_under_two_names_or_at_two_sites_look_different(jobs: JobScene) -> None:
    file_set = jobs.register()
    assert file_set.commitment != file_set.card.private[0].commitment
    assert file_set.card.private[0].commitment not in PRIVATE


def change(path: Path) -> None:
    path.write_text(PRIVATE + "\n")


def rewrite(path: Path) -> None:
    """The same inode, size and times of modification."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"P")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_text(PRIVATE.replace("p001", "p002"))
    other.rename(path)


def relink(path: Path) -> None:
    other = path.with_suffix(".elsewhere")
    other.write_text(PRIVATE + "x")
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("harm", [change, rewrite, replace, relink, Path.unlink])
def test_a_file_that_is_not_the_registered_one_is_not_opened(jobs: JobScene, harm: object) -> None:
    file_set = jobs.register()
    harm(jobs.private)  # type: ignore[operator]
    with pytest.raises((InvalidInputError, NotAuthenticError)), private_files(jobs.scene.site, file_set):
        pass


@pytest.mark.parametrize("harm", [change, rewrite])
def test_a_file_that_is_changed_while_it_is_open_is_noticed(jobs: JobScene, harm: object) -> None:
    file_set = jobs.register()
    with pytest.raises(NotAuthenticError, match="changed after"), opened_files(jobs.scene.site, [file_set]):
        harm(jobs.private)  # type: ignore[operator]


def test_a_file_moved_elsewhere_and_back_is_the_same(jobs: JobScene) -> None:
    file_set = jobs.register()
    jobs.private.write_text(PRIVATE)
    with private_files(jobs.scene.site, file_set) as ((_, file),):
        assert file.size == len(PRIVATE)


def test_who_may_see_it_is_said_anew(jobs: JobScene) -> None:
    file_set = share_file_set(jobs.scene.site, "visits", everybody=False, contacts=("eve@uni.example",) * 2)
    assert (file_set.visible_to(None), file_set.visible_to("ada@uni.example")) == (False, False)
    assert file_set.visible_to("eve@uni.example")
    assert not share_file_set(jobs.scene.site, "visits", everybody=False, contacts=()).visible_to("eve@uni.example")
    with pytest.raises(CloisterError, match="no set of files"):
        share_file_set(jobs.scene.site, "beds", everybody=True, contacts=())
