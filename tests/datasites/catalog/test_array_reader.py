"""Tables of NumPy arrays: read strictly, never unpickled, and refused without a value when they are damaged."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from tests.datasites.catalog.test_images import MANIFEST, pixels
from tests.everything_said import everything_said
from tests.unit_arrays import read_table


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scan": pixels(200, 1)}, "'scan' is not uint8 of the shape (rows, 3, 5, 7)"),
        ({"scan": pixels(200).astype(np.float32)}, "'scan' is not uint8"),
        ({"scan": pixels(150)}, "'scan' has another number of rows"),
        ({"malignant": np.arange(200) / 2}, "'malignant' does not hold text"),
        ({"malignant": np.array([{}] * 200)}, "'malignant' does not hold text"),
        ({"malignant": np.array(["no", "perhaps"] * 100)}, "row 2: column 'malignant' is not one of"),
        ({"patient": np.array([""] * 200)}, "row 1: the privacy unit is empty"),
        ({"salary": np.arange(200)}, "column 4 of the header is not in the manifest"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_the_manifest_s_are_refused(tmp_path, changes, said):
    arrays = {"patient": np.arange(200), "scan": pixels(200), "malignant": np.array(["no", "yes"] * 100), **changes}
    np.savez(tmp_path / "scans.npz", **arrays)
    with pytest.raises(InvalidInputError) as caught:
        read_table(tmp_path / "scans.npz", MANIFEST)
    assert said in str(caught.value)
    assert not any(word in everything_said(caught.value) for word in ("perhaps", "salary"))


@pytest.mark.parametrize("rows", [0, -1, -9])
def test_a_table_without_rows_is_refused_whatever_its_headers_say(tmp_path, rows):
    with zipfile.ZipFile(tmp_path / "scans.npz", "w") as archive:
        for name, kind, shape in (("patient", "<i8", ()), ("scan", "|u1", (3, 5, 7)), ("malignant", "<U3", ())):
            header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {(rows, *shape)}, }}\n"
            archive.writestr(f"{name}.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(InvalidInputError, match="the table has no rows"):
        read_table(tmp_path / "scans.npz", MANIFEST)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damaged_file_of_arrays_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    np.savez_compressed(path, patient=np.arange(9), scan=pixels(9), malignant=np.array(["no"] * 9))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    try:
        read_table(path, MANIFEST)
    except InvalidInputError:
        return


def test_nothing_is_unpickled(tmp_path):
    """An array of objects is a pickle, which runs what its writer wants as soon as it is loaded."""

    class Ran:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    hostile = np.array([Ran()] * 200, dtype=object)
    np.savez(tmp_path / "scans.npz", patient=hostile, scan=pixels(200), malignant=np.array(["no"] * 200))
    (tmp_path / "ran").unlink(missing_ok=True)
    with pytest.raises(InvalidInputError, match="'patient' does not hold text"):
        read_table(tmp_path / "scans.npz", MANIFEST)
    assert not (tmp_path / "ran").exists()


def test_a_header_that_claims_more_than_there_is_is_refused_before_it_is_held(tmp_path):
    """A shape of a billion images behind a few bytes; and texts of which one would fill the memory."""
    for changes in (
        {"scan": np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (10**9, 3, 5, 7), (0, 0, 0, 0))},
        {"malignant": np.zeros(1, "<U100000000")},
    ):
        arrays = {"patient": np.arange(9), "scan": pixels(9), "malignant": np.array(["no"] * 9), **changes}
        with zipfile.ZipFile(tmp_path / "scans.npz", "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    shape = "(9,)" if name != "scan" else str(array.shape)
                    header = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
                    file.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(9))
        tracemalloc.start()
        with pytest.raises(InvalidInputError):
            read_table(tmp_path / "scans.npz", MANIFEST)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()
