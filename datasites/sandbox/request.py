"""A request for an errand, as it reaches a process of the sandbox: its descriptors, its task, its files."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from datasites.sandbox.frames import Frame, read_frame, write_frame
from datasites.sandbox.messages import MOST_SHOWN, Locked, Task, parse
from policies.errors import CloisterError, InvalidInputError, UnavailableError
from policies.statements.schema import StrictModel, as_text

MOST_FILE_BYTES = 2**30
"""All files of an errand together, as they come in one message."""


@dataclass(frozen=True)
class Request:
    """What came for one errand: the channel to the datasite, the script's two streams, and the files to be shown."""

    channel: int
    texts: list[int]
    shown: list[int]


def wait_for_request(door: socket.socket) -> Request:
    """Wait until the zygote hands on an errand; this process ends if the zygote does."""
    _, descriptors, _, _ = socket.recv_fds(door, 1, 3 + MOST_SHOWN)
    if len(descriptors) < 3:
        os._exit(0)
    door.close()
    return Request(descriptors[0], descriptors[1:3], descriptors[3:])


@contextmanager
def refusing(request: Request) -> Iterator[None]:
    """Tell the datasite why an errand cannot begin, and end."""
    try:
        yield
    except (CloisterError, OSError) as error:
        tell(request.channel, Locked(layers=(), refusal=as_text(str(error))))
        os._exit(1)


def read_task(request: Request) -> tuple[Task, memoryview]:
    """Read the errand, and its files' bytes.

    Raises:
        InvalidInputError: it is not well formed.
    """
    frame = read_frame(request.channel, maximum_body=MOST_FILE_BYTES)
    task = parse(Task, frame.header)
    if len(request.shown) != len(task.shown) or sum(file.size for file in task.files) != len(frame.body):
        raise InvalidInputError("The errand does not hold as many bytes or open files as it announces.")
    return task, memoryview(frame.body)


def contents(task: Task, body: memoryview) -> Mapping[str, memoryview]:
    """The errand's files by place."""
    found = {}
    for file in task.files:
        found[file.place], body = body[: file.size], body[file.size :]
    return found


def tell(channel: int, message: StrictModel) -> None:
    """Say something to the datasite, if it is still there."""
    with suppress(UnavailableError, OSError):
        write_frame(channel, Frame(message.canonical()))
