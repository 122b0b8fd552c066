"""Frames: how the datasite and its trainer talk over two pipes; a canonical JSON header and a binary body."""

import os
import select
import struct
import time
from dataclasses import dataclass, field

from policies.errors import InvalidInputError, UnavailableError

MAXIMUM_HEADER_BYTES = 8 * 2**20
_LENGTHS = struct.Struct(">QQ")


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
    lengths = _LENGTHS.pack(len(frame.header), len(frame.body))
    for part in (lengths, frame.header, frame.body):
        left = memoryview(part)
        while left:
            _wait(descriptor, select.POLLOUT, deadline)
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise UnavailableError("The other end of the pipe is gone.") from error


def read_frame(descriptor: int, *, maximum_body: int, deadline: float | None = None) -> Frame:
    """Read a frame of a header of at most `MAXIMUM_HEADER_BYTES` and a body of at most `maximum_body` bytes.

    Raises:
        UnavailableError: the other end is gone, or did not write in time.
        InvalidInputError: the frame announces more than is accepted; nothing of it was read.
    """
    header_length, body_length = _LENGTHS.unpack(_read(descriptor, _LENGTHS.size, deadline))
    if header_length > MAXIMUM_HEADER_BYTES or body_length > maximum_body:
        raise InvalidInputError(
            f"A frame announces {header_length} + {body_length} bytes; "
            f"at most {MAXIMUM_HEADER_BYTES} + {maximum_body} are accepted."
        )
    header = bytes(_read(descriptor, header_length, deadline))
    return Frame(header, _read(descriptor, body_length, deadline))


def _read(descriptor: int, count: int, deadline: float | None) -> bytearray:
    buffer = bytearray(count)
    left = memoryview(buffer)
    while left:
        _wait(descriptor, select.POLLIN, deadline)
        try:
            got = os.readv(descriptor, [left])
        except BlockingIOError:
            continue
        if got == 0:
            raise UnavailableError("The other end of the pipe is gone.")
        left = left[got:]
    return buffer


def _wait(descriptor: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    milliseconds = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000))
    if not poll.poll(milliseconds):
        raise UnavailableError("The other end of the pipe did not answer before the deadline.")
