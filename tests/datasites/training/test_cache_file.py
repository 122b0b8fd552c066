"""A cache's rows come back as they were written, are unreadable on disk, and cannot be exchanged."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from datasites.training.cache_file import TAG_BYTES, CacheFile
from policies.errors import NotAuthenticError

ROW = np.dtype([("value0", "<f4", (2, 3)), ("mask", "?", (2,))])
STRIDE = ROW.itemsize + TAG_BYTES


@pytest.fixture
def descriptor() -> Iterator[int]:
    opened = os.memfd_create("cache")
    yield opened
    os.close(opened)


def rows(count: int) -> np.ndarray:
    made = np.zeros(count, ROW)
    made["value0"] = np.random.default_rng(3).normal(size=(count, 2, 3))
    made["mask"] = True
    return made


def test_rows_are_read_as_they_were_written_in_any_order(descriptor: int) -> None:
    written = rows(7)
    file = CacheFile(descriptor, 11, ROW)
    file.append(written[:3])
    file.append(written[3:])
    assert len(file) == 7
    assert file.end == 11 + 7 * STRIDE == os.fstat(descriptor).st_size
    order = np.array([6, 0, 3, 3])
    assert np.array_equal(file.read(order), written[order])


def test_two_caches_lie_in_one_file(descriptor: int) -> None:
    first, other = rows(3), rows(5)[3:]
    one = CacheFile(descriptor, 0, ROW)
    one.append(first)
    two = CacheFile(descriptor, one.end, ROW)
    two.append(other)
    assert np.array_equal(one.read(np.arange(3)), first)
    assert np.array_equal(two.read(np.arange(2)), other)


def test_equal_rows_look_different_and_nothing_like_what_they_hold(descriptor: int) -> None:
    same = np.repeat(rows(1), 4)
    CacheFile(descriptor, 0, ROW).append(same)
    content = os.pread(descriptor, 4 * STRIDE, 0)
    assert len({content[place * STRIDE : place * STRIDE + ROW.itemsize] for place in range(4)}) == 4
    assert not any(same["value0"][0, 0, place].tobytes() in content for place in range(3))


@pytest.mark.parametrize("act", ["swapped", "changed", "another file's"])
def test_a_row_that_is_not_the_one_written_there_is_not_read(descriptor: int, act: str) -> None:
    written = rows(2)
    file = CacheFile(descriptor, 0, ROW)
    file.append(written)
    content = bytearray(os.pread(descriptor, 2 * STRIDE, 0))
    if act == "swapped":
        content = content[STRIDE:] + content[:STRIDE]
    elif act == "changed":
        content[5] ^= 1
    else:
        CacheFile(descriptor, 0, ROW).append(written[:1])
        content[:STRIDE] = os.pread(descriptor, STRIDE, 0)
    os.pwrite(descriptor, content, 0)
    with pytest.raises(NotAuthenticError, match="not the one"):
        file.read(np.array([0]))


def test_a_cache_that_was_cut_off_is_an_error(descriptor: int) -> None:
    file = CacheFile(descriptor, 0, ROW)
    file.append(rows(2))
    os.ftruncate(descriptor, STRIDE + 1)
    with pytest.raises(EOFError):
        file.read(np.array([1]))
