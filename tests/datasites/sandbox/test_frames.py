"""Frames over real pipes: exact, bounded, and never waiting past a deadline."""

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, Frame, read_frame, write_frame
from policies.errors import InvalidInputError, UnavailableError

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


@settings(max_examples=50, deadline=None)
@given(frames=st.lists(st.tuples(st.binary(max_size=50), st.binary(max_size=2000)), max_size=5))
def test_frames_arrive_one_by_one_as_they_were_sent(frames: list[tuple[bytes, bytes]]) -> None:
    source, sink = os.pipe()
    try:
        for header, body in frames:
            write_frame(sink, Frame(header, body))
        for header, body in frames:
            got = read_frame(source, maximum_body=2000)
            assert (got.header, bytes(got.body)) == (header, body)
    finally:
        os.close(source)
        os.close(sink)


def test_a_body_larger_than_the_pipe_passes(pipe: Pipe) -> None:
    body = os.urandom(3_000_000)
    writer = threading.Thread(target=write_frame, args=(pipe[1], Frame(b"h", body), time.monotonic() + 10))
    writer.start()
    assert bytes(read_frame(pipe[0], maximum_body=len(body), deadline=time.monotonic() + 10).body) == body
    writer.join()


@pytest.mark.parametrize("lengths", [(MAXIMUM_HEADER_BYTES + 1, 0), (0, 11), (2**64 - 1, 0), (0, 2**64 - 1)])
def test_an_announcement_beyond_the_limits_is_refused_before_anything_is_allocated(
    pipe: Pipe, lengths: tuple[int, int]
) -> None:
    os.write(pipe[1], b"".join(length.to_bytes(8, "big") for length in lengths))
    with pytest.raises(InvalidInputError, match="at most"):
        read_frame(pipe[0], maximum_body=10)


@pytest.mark.parametrize("cut", [0, 5, 16, 18, 21])
def test_a_frame_cut_short_is_the_end(pipe: Pipe, cut: int) -> None:
    whole = (2).to_bytes(8, "big") + (4).to_bytes(8, "big") + b"hhbbbb"
    os.write(pipe[1], whole[:cut])
    os.close(pipe[1])
    with pytest.raises(UnavailableError, match="gone"):
        read_frame(pipe[0], maximum_body=10)


def test_nobody_waits_past_the_deadline(pipe: Pipe) -> None:
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="deadline"):
        read_frame(pipe[0], maximum_body=10, deadline=start + 0.1)
    with pytest.raises(UnavailableError, match="deadline"):
        write_frame(pipe[1], Frame(b"", bytes(10_000_000)), deadline=time.monotonic() + 0.1)
    assert time.monotonic() - start < 5


def test_writing_to_nobody_is_said_plainly(pipe: Pipe) -> None:
    os.close(pipe[0])
    with pytest.raises(UnavailableError, match="gone"):
        write_frame(pipe[1], Frame(b"h"))


def test_an_end_that_goes_before_it_has_read_everything_is_gone() -> None:
    """A socket tells so by another error than a pipe."""
    ours, its = socket.socketpair()
    with ours:
        write_frame(ours.fileno(), Frame(b"h"))
        its.close()
        with pytest.raises(UnavailableError, match="gone"):
            read_frame(ours.fileno(), maximum_body=1)
