"""Frames: how the datasite and its locked-down children talk over pipes; a canonical JSON header and a binary body."""

import os
import select
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from policies.errors import InvalidInputError, UnavailableError

MAXIMUM_HEADER_BYTES = 8 * 2**20
_LENGTHS = struct.Struct(">QQ")
LENGTHS_BYTES = _LENGTHS.size
"""With so many bytes begins each frame; `length_after` reads them."""

Piece = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Frame:
    """One message: a header, to be parsed strictly by whoever receives it, and its binary part."""

    header: bytes
    body: bytes | bytearray = field(default=b"", repr=False)


def write_frame(descriptor: int, frame: Frame, deadline: float | None = None) -> None:
    """Write a frame, waiting at most until `deadline` (of `time.monotonic`).

    Raises:
        UnavailableError: the other end is gone, or did not read in time.
    """
    write_stream(descriptor, frame.header, len(frame.body), (frame.body,), deadline)


def write_stream(
    descriptor: int, header: bytes, body_length: int, pieces: Iterable[Piece], deadline: float | None = None
) -> None:
    """Write a frame whose body of `body_length` bytes comes in pieces, each written before the next is asked for.

    Raises:
        UnavailableError: the other end is gone, or did not read in time.
        InvalidInputError: the pieces are more or fewer bytes than announced; the pipe is of no use any more.
    """
    write_header(descriptor, header, body_length, deadline)
    left = body_length
    for piece in pieces:
        content = memoryview(piece).cast("B")
        left -= len(content)
        if left < 0:
            break
        write_from(descriptor, content, deadline)
    if left:
        raise InvalidInputError(f"A body of {body_length} bytes was announced, and others came; the frame is broken.")


def write_header(descriptor: int, header: bytes, body_length: int, deadline: float | None = None) -> None:
    """Write a frame up to its body of `body_length` bytes, which are to follow by `write_from`.

    Raises:
        UnavailableError: the other end is gone, or did not read in time.
    """
    write_from(descriptor, _LENGTHS.pack(len(header), body_length) + header, deadline)


def write_from(descriptor: int, content: Piece, deadline: float | None = None) -> None:
    """Write all bytes of `content`, waiting at most until `deadline` (of `time.monotonic`).

    Raises:
        UnavailableError: the other end is gone, or did not read in time.
    """
    left = memoryview(content)
    while left:
        _wait(descriptor, select.POLLOUT, deadline)
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            continue
        except ConnectionError as error:
            raise UnavailableError("The other end of the pipe is gone.") from error


def read_frame(descriptor: int, *, maximum_body: int, deadline: float | None = None) -> Frame:
    """Read a frame of a header of at most `MAXIMUM_HEADER_BYTES` and a body of at most `maximum_body` bytes.

    Raises:
        UnavailableError: the other end is gone, or did not write in time.
        InvalidInputError: the frame announces more than is accepted; nothing of it was read.
    """
    header, body_length = read_header(descriptor, maximum_body=maximum_body, deadline=deadline)
    body = bytearray(body_length)
    read_into(descriptor, memoryview(body), deadline)
    return Frame(header, body)


def read_header(descriptor: int, *, maximum_body: int, deadline: float | None = None) -> tuple[bytes, int]:
    """Read a frame up to its body: its header, and how many bytes of body follow, to be taken by `read_into`.

    Raises:
        UnavailableError: the other end is gone, or did not write in time.
        InvalidInputError: the frame announces more than is accepted; nothing of it was read.
    """
    lengths = bytearray(_LENGTHS.size)
    read_into(descriptor, memoryview(lengths), deadline)
    header_length, body_length = _LENGTHS.unpack(lengths)
    if header_length > MAXIMUM_HEADER_BYTES or body_length > maximum_body:
        raise InvalidInputError(
            f"A frame announces {header_length} + {body_length} bytes; "
            f"at most {MAXIMUM_HEADER_BYTES} + {maximum_body} are accepted."
        )
    header = bytearray(header_length)
    read_into(descriptor, memoryview(header), deadline)
    return bytes(header), body_length


def length_after(lengths: Piece) -> int:
    """How many bytes of its frame follow these first `LENGTHS_BYTES`, as it says itself."""
    header_length, body_length = _LENGTHS.unpack(lengths)
    return int(header_length + body_length)


def read_into(descriptor: int, buffer: memoryview, deadline: float | None = None) -> None:
    """Fill `buffer` with the next bytes of the pipe, waiting at most until `deadline` (of `time.monotonic`).

    Raises:
        UnavailableError: the other end is gone, or did not write in time.
    """
    left = buffer
    while left:
        _wait(descriptor, select.POLLIN, deadline)
        try:
            got = os.readv(descriptor, [left])
        except BlockingIOError:
            continue
        except ConnectionError as error:  # it ended before it had read everything
            raise UnavailableError("The other end of the pipe is gone.") from error
        if got == 0:
            raise UnavailableError("The other end of the pipe is gone.")
        left = left[got:]


def is_silent(descriptor: int) -> bool:
    """Whether no byte is waiting to be read; the other end may be gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return not any(event & select.POLLIN for _, event in poll.poll(0))


def _wait(descriptor: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    milliseconds = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000))
    if not poll.poll(milliseconds):
        raise UnavailableError("The other end of the pipe did not answer before the deadline.")
