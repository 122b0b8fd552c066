"""A published data set stands in PySyft's own views, and its private bytes stand nowhere in the box."""

import os
from pathlib import Path

import pytest
from syft_datasets.dataset_manager import SyftDatasetManager

from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.views import data_sets_view
from policies.errors import ConflictError, InvalidInputError

PRIVATE_BYTES = b"patient_id,glucose\nPRIVATE-7f3a91,153.25\n"
MOCK_BYTES = b"patient_id,glucose\nmock-0001,100.0\n"


def test_the_owner_sees_the_data_set_in_syfts_own_views(place):
    place.publish()
    for manager in (data_sets_view(place.folder), SyftDatasetManager(place.folder.box, place.folder.owner_email)):
        (data_set,) = manager.get_all()
        assert (data_set.name, data_set.owner, data_set.summary) == (
            "diabetes",
            "data-office@hospital.example",
            "Diabetes in primary care",
        )
        assert [path.read_bytes() for path in data_set.mock_files] == [MOCK_BYTES]
        assert data_set.get_readme() == "# Diabetes"
        assert data_set.created_at.timestamp() == 1_700_000_000
        assert "diabetes" in manager._repr_html_()
        assert "Diabetes in primary care" in data_set._repr_html_()


def test_private_files_lead_outside_the_box_without_a_copy(place):
    place.publish()
    data_set = data_sets_view(place.folder).get("diabetes")
    (private_file,) = data_set.private_files
    assert private_file.samefile(place.private)
    assert private_file.is_symlink()
    assert not place.folder.lies_in_box(private_file)
    assert data_set.private_config.data_dir == data_set.private_dir


def test_a_huge_private_file_costs_nothing(place, tmp_path):
    huge = tmp_path / "huge.safetensors"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    place.publish(private=huge)
    used = sum(path.lstat().st_blocks * 512 for path in place.folder.private_root.rglob("*"))
    assert used < 100_000


def test_no_private_byte_lies_below_the_box(place, walk):
    place.publish()
    place.record()
    for path, content in walk(place.folder.box).items():
        assert isinstance(content, bytes), f"{path} is a link"
        assert b"PRIVATE-7f3a91" not in content
        assert str(place.private).encode() not in content
        assert str(place.folder.private_root).encode() not in content


def test_publishing_again_changes_no_byte(place, walk):
    place.publish()
    before = walk(place.folder.box), walk(place.folder.private_root)
    inode = next(place.folder.box.rglob("mock.csv")).stat().st_ino
    place.publish()
    assert (walk(place.folder.box), walk(place.folder.private_root)) == before
    assert next(place.folder.box.rglob("mock.csv")).stat().st_ino == inode


def test_publishing_other_contents_replaces_them_under_the_same_identity(place, tmp_path):
    place.publish()
    view = data_sets_view(place.folder)
    old = view.get("diabetes")
    moved, drawn = tmp_path / "moved.parquet", tmp_path / "new.json"
    moved.write_bytes(b"PRIVATE-2")
    drawn.write_bytes(b"{}")
    place.publish(summary="A new summary", mock=drawn, private=moved)
    (new,) = view.get_all()
    assert (new.uid, new.summary) == (old.uid, "A new summary")
    assert [path.name for path in new.mock_files] == ["mock.json"]
    assert [path.resolve() for path in new.private_files] == [moved]
    assert not list(place.folder.box.rglob("mock.csv"))


@pytest.mark.parametrize("damage", ["mock gone", "metadata empty", "metadata gone", "private gone", "leftovers"])
def test_publishing_mends_what_a_crash_left(place, walk, damage):
    place.publish()
    whole = walk(place.folder.box), walk(place.folder.private_root)
    public = next(place.folder.box.rglob("dataset.yaml"))
    match damage:
        case "mock gone":
            next(place.folder.box.rglob("mock.csv")).unlink()
        case "metadata empty":
            public.write_bytes(b"")
        case "metadata gone":
            public.unlink()
        case "private gone":
            next(place.folder.private_root.rglob("private.csv")).unlink()
        case "leftovers":
            for root in (place.folder.box, place.folder.private_root):
                (root / ".cloister-staging" / "removed").mkdir(parents=True)
                (root / ".cloister-staging" / "half").write_bytes(b"half")
    place.publish()
    assert (walk(place.folder.box), walk(place.folder.private_root)) == whole


def test_deleting_in_syft_leaves_the_private_file(place):
    place.publish()
    data_sets_view(place.folder).delete("diabetes", require_confirmation=False)
    assert place.private.read_bytes() == PRIVATE_BYTES
    assert not data_sets_view(place.folder).get_all()


def test_syft_cannot_collect_the_private_files_for_sending(place):
    place.publish()
    for manager in (data_sets_view(place.folder), SyftDatasetManager(place.folder.box, place.folder.owner_email)):
        with pytest.raises(ValueError, match="private"):
            manager.get_private_dataset_files("diabetes")


@pytest.mark.parametrize(
    "trick", ["same file", "link to it", "link to another", "hard link", "copy", "folder", "pipe", "gone"]
)
def test_a_mock_that_is_the_private_file_is_refused(place, tmp_path, walk, trick):
    mock = tmp_path / "mock.csv"
    match trick:
        case "same file":
            mock = place.private
        case "symbolic link":
            mock.symlink_to(place.private)
        case "hard link":
            mock.hardlink_to(place.private)
        case "copy":
            mock.write_bytes(PRIVATE_BYTES)
        case "folder":
            mock.mkdir()
        case "pipe":
            os.mkfifo(mock)
    with pytest.raises(InvalidInputError, match="mock"):
        place.publish(mock=mock)
    assert not place.folder.box.exists() or b"PRIVATE" not in b"".join(walk(place.folder.box).values())


def test_a_private_file_in_the_box_is_refused_even_behind_a_link(place, tmp_path):
    inside = place.folder.box / "patients.csv"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(PRIVATE_BYTES)
    link = tmp_path / "link.csv"
    link.symlink_to(inside)
    for private in (inside, link, tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidInputError, match="outside"):
            place.publish(private=private)


def test_a_private_root_in_the_box_is_refused_even_behind_a_link(tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    (tmp_path / "link").symlink_to(box)
    for root in (box, box / "private", tmp_path / "link" / "private", box / ".." / "box" / "p"):
        with pytest.raises(InvalidInputError, match="lies in the SyftBox folder"):
            SyftFolder(box, root, "a@b.example")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a@localhost",
        "../x@b.example",
        "a/b@c.example",
        "<b>@c.example",
        "a@b.example/..",
        "a@b.example\n",
    ],
)
def test_a_hostile_owner_address_is_refused(tmp_path, address):
    with pytest.raises(InvalidInputError, match="address"):
        SyftFolder(tmp_path / "box", tmp_path / "private", address)


@pytest.mark.parametrize("name", ["../../evil", "v1", "a/b", "", "<script>", ".", "a" * 64, "x\n"])
def test_a_hostile_data_set_name_is_refused(place, name):
    with pytest.raises(InvalidInputError):
        place.publish(name)
    assert not place.folder.box.exists()


def test_hostile_texts_and_suffixes(place, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)>"
    place.publish(summary=hostile, readme=hostile)
    manager = data_sets_view(place.folder)
    assert manager.get("diabetes").summary == hostile
    for page in (manager._repr_html_(), manager.get("diabetes")._repr_html_(), manager.get_all()._repr_html_()):
        assert "<img" not in page
    strange = tmp_path / "x.<b>"
    strange.write_bytes(b"1")
    with pytest.raises(InvalidInputError, match="letters and digits"):
        place.publish(mock=strange)
    with pytest.raises(InvalidInputError, match="summary"):
        place.publish(summary="\u202etxt")


@pytest.mark.parametrize("planted", ["owner", "staging"])
def test_a_planted_link_does_not_lead_writes_out_of_the_box(place, tmp_path, planted):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_bytes(b"keep")
    place.folder.box.mkdir(parents=True)
    name = place.folder.owner_email if planted == "owner" else ".cloister-staging"
    (place.folder.box / name).symlink_to(elsewhere)
    with pytest.raises(ConflictError, match="remove it"):
        place.publish()
    assert [path.name for path in elsewhere.iterdir()] == ["keep"]


def test_a_relative_box_works(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = SyftFolder(Path("here/box"), Path("here/private"), "a@b.example")
    type(place)(folder, place.mock, place.private).publish()
    assert [path.resolve() for path in data_sets_view(folder).get("diabetes").private_files] == [place.private]
