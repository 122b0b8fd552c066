"""Images: from files and from arrays the snapshot keeps the same pixels; a hostile file costs its row, and no more."""

import csv
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasites.catalog import image_files
from datasites.catalog.image_decoder import decode
from datasites.catalog.image_files import ImageFiles
from datasites.catalog.image_messages import DecodedImage
from datasites.catalog.mock import draw_mock
from datasites.catalog.table_checks import rows_a_batch
from datasites.training.unit_file import open_units
from policies.columns import ImageColumn
from policies.errors import InvalidInputError
from policies.manifest import parse_manifest
from policies.statements.schema import parse_model
from researcher.catalog import read_mock
from tests.everything_said import everything_said
from tests.unit_arrays import freeze, read_snapshot, read_table

SCANS = """
name = "scans"
title = "Skin lesions"
description = "One row a photograph."
target = "malignant"
[privacy_unit]
column = "patient"
maximum_records = 2
nominal_units = 100
[holdout]
fraction = 0.25
[[columns]]
name = "scan"
type = "image"
channels = 3
height = 5
width = 7
[[columns]]
name = "malignant"
type = "category"
categories = ["no", "yes"]
"""
MANIFEST = parse_manifest(SCANS.encode())
GREY = parse_manifest(SCANS.replace("channels = 3", "channels = 1").encode())
COLUMN = MANIFEST.whole_column
assert isinstance(COLUMN, ImageColumn)


def pixels(count: int, channels: int = 3) -> np.ndarray:
    """(count, channels, 5, 7): random images."""
    return np.random.default_rng(count).integers(256, size=(count, channels, 5, 7), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    """The file of a [c, h, w] image."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(file, kind)
    return file.getvalue()


def write_csv(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("patient", "scan", "malignant"), *rows])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of 100 patients with two photographs each, beside the photographs as files and as an array."""
    images = pixels(200)
    patients = np.array([f"p{number % 100:03}" for number in range(200)])
    names = [f"photographs/{number}.png" for number in range(200)]
    malignant = np.array(["no", "yes"])[np.arange(200) % 2]
    (tmp_path / "photographs").mkdir()
    for name, image in zip(names, images, strict=True):
        (tmp_path / name).write_bytes(encoded(image))
    write_csv(tmp_path / "scans.csv", list(zip(patients, names, malignant, strict=True)))
    np.savez_compressed(tmp_path / "scans.npz", patient=patients, scan=images, malignant=malignant)
    return tmp_path


def test_files_and_arrays_freeze_to_the_same_pixels(folder, keys):
    made = {freeze(folder / name, MANIFEST, keys, folder / "frozen") for name in ("scans.csv", "scans.npz")}
    assert len(made) == 1
    snapshot = read_snapshot(made.pop()[1])
    assert (snapshot.layout.features, snapshot.layout.shape) == ("image", (3, 5, 7))
    assert snapshot.training.features.dtype == np.uint8
    assert snapshot.training.mask.all()
    images = {image.tobytes(): number for number, image in enumerate(pixels(200))}
    for side in (snapshot.training, snapshot.holdout):
        for first, second in side.features:
            assert images[second.tobytes()] == images[first.tobytes()] + 100, "each patient's own, in the file's order"


def test_the_trainer_reads_numbers_from_minus_one_to_one(folder, keys):
    _, path = freeze(folder / "scans.npz", MANIFEST, keys, folder / "frozen")
    kept = read_snapshot(path).training
    with path.open("rb") as file:
        training, _ = open_units(os.dup(file.fileno()))
        chunk = training.chunk(torch.tensor([4, 2]), 3)
    expected = 2 * kept.features[[4, 2]].astype(np.float64) / 255 - 1
    assert chunk.features.dtype == torch.float32
    assert (chunk.features.min(), chunk.features.max()) == (-1, 1)
    np.testing.assert_allclose(chunk.features[:2].numpy(), expected, atol=1e-7)
    assert training.unit_bytes == chunk.unit_bytes
    assert MANIFEST.record_form().features.shape == tuple(chunk.features.shape[2:])


def test_grey_images_of_both_kinds_are_read(tmp_path):
    image = np.full((1, 5, 7), 77, np.uint8)
    for kind in ("PNG", "JPEG"):
        (tmp_path / kind).write_bytes(encoded(image, kind))
    table = write_csv(tmp_path / "grey.csv", [("p", "PNG", "no"), ("p", "JPEG", "no")])
    assert (read_table(table, GREY).values["scan"] == 77).all()


def png(width: int, height: int, colour: int, data: bytes = b"", bits: int = 8) -> bytes:
    """A PNG file by hand, that says it has this size and colour type."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


GOOD = encoded(pixels(1)[0])
HOSTILE = {
    "bomb.png": (png(60_000, 60_000, 2, zlib.compress(bytes(10**7))), "of another than the declared width"),
    "vast.png": (png(2**31 - 1, 2**31 - 1, 2), "of another than the declared width"),
    "wide.png": (encoded(np.zeros((3, 5, 8), np.uint8)), "of another than the declared width"),
    "grey.png": (encoded(pixels(1, 1)[0]), "8 bits in each of the declared channels"),
    "sixteen.png": (png(7, 5, 0, zlib.compress(bytes(5 * 15)), bits=16), "8 bits in each of the declared channels"),
    "cut.png": (GOOD[:-30], "damaged"),
    "cut.jpeg": (encoded(pixels(1)[0], "JPEG")[:-200], "damaged"),
    "empty.png": (png(7, 5, 2), "damaged"),
    "text.png": (b"5ecret7", "neither PNG nor JPEG"),
    "scan.gif": (encoded(pixels(1)[0], "GIF"), "neither PNG nor JPEG"),
    "long.png": (GOOD + bytes(2**23), "plain file of at most"),
}


def test_a_hostile_file_costs_its_row_and_is_never_named(tmp_path):
    names = ["good", *HOSTILE, "good"]
    (tmp_path / "good").write_bytes(GOOD)
    for name, (content, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    with ImageFiles(tmp_path, COLUMN) as files:
        values, faults = files.values(names)
        assert {names[place]: said for place, said in faults.items()}.keys() == HOSTILE.keys()
        for place, name in enumerate(names):
            assert name == "good" or HOSTILE[name][1] in faults[place], name
        for place in (0, -1):
            np.testing.assert_array_equal(values[place], pixels(1)[0])
    table = write_csv(tmp_path / "scans.csv", [("p", name, "no") for name in names])
    with pytest.raises(InvalidInputError) as caught:
        read_table(table, MANIFEST)
    message = everything_said(caught.value)
    assert "row 3: column 'scan' names an image of another than the declared" in message
    assert not any(word in message for word in ("bomb", "5ecret7", ".png"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_that_its_exif_data_turn_is_refused_with_the_remedy(tmp_path, kind):
    names = []
    for orientation in (None, 1, 3, 6):
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        names.append(f"{orientation}")
        Image.fromarray(pixels(1)[0].transpose(1, 2, 0)).save(tmp_path / names[-1], kind, exif=exif)
    with ImageFiles(tmp_path, COLUMN) as files:
        _, faults = files.values(names)
    assert faults.keys() == {2, 3}
    assert all("turn the pixels and write it without" in said for said in faults.values())


def test_only_files_below_the_table_s_folder_are_opened(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside.png"
    inside.mkdir()
    for path in (inside / "good.png", outside):
        path.write_bytes(GOOD)
    (inside / "link.png").symlink_to(outside)
    (inside / "round.png").symlink_to("round.png")
    os.mkfifo(inside / "pipe.png")
    names = ["good.png", "../outside.png", "x/../../outside.png", str(outside), str(inside / "good.png"), "link.png"]
    with ImageFiles(inside, COLUMN) as files:
        faults = files.values([*names, "round.png", "pipe.png", "absent.png", ".", "a\0b", " "])[1]
    assert set(faults) == set(range(1, 12))
    assert all("in the folder of the table" in faults[place] for place in range(1, 6))
    assert all("cannot be read" in faults[place] or "plain file" in faults[place] for place in range(6, 11))
    assert faults[11] == "is empty"


def test_a_decoder_that_dies_or_lies_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "good").write_bytes(GOOD)
    with ImageFiles(tmp_path, COLUMN) as files:
        with monkeypatch.context() as changed:
            for start in ("import os; os.abort()", "print('{}' * 100)"):
                changed.setattr(image_files, "_START", start)
                assert "damaged" in files.values(["good"])[1][0]
        assert files.values(["good"])[1] == {}


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG"]),
    flips=st.lists(st.tuples(st.integers(2, 10_000), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 1000),
)
def test_the_decoder_answers_whatever_bytes_are_flipped(kind, flips, cut):
    damaged = bytearray(encoded(pixels(1)[0], kind))
    for place, change in flips:
        damaged[place % len(damaged)] ^= change
    answer = decode(bytes(damaged[: max(1, len(damaged) - cut)]), COLUMN)
    fault = parse_model(DecodedImage, answer.header, maximum_bytes=1000, what="The answer").fault
    assert len(answer.body) == (0 if fault else 3 * 5 * 7)


def test_large_images_are_read_in_batches_of_bounded_size():
    large = parse_manifest(SCANS.replace("height = 5", "height = 500").replace("width = 7", "width = 600").encode())
    assert rows_a_batch(large) * 3 * 500 * 600 <= 2**23


def test_mock_images_are_arrays_for_the_researcher():
    content = draw_mock(MANIFEST)
    rows = read_mock(content, MANIFEST)
    assert len(rows) == 200
    assert {(image.shape, image.dtype.name) for image in rows["scan"]} == {((3, 5, 7), "uint8")}
    assert len(np.unique(np.stack(list(rows["scan"])))) == 256
    with pytest.raises(InvalidInputError, match="something else than images"):
        read_mock(content.replace(b"=", b"A", 1), GREY)
