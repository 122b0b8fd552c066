"""The datasite's ends of an errand: the channel to its keeper, what its script prints, and its first process."""

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from socket import socket

_DEATH_SECONDS = 10.0


@dataclass(frozen=True)
class Line:
    """The datasite's ends: the channel to the keeper, what the script prints, and the process that holds it all."""

    channel: socket
    output: int
    errors: int
    process: int

    def end(self) -> None:
        """End everything of the errand, wait until it is gone, and close the ends."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.process, select.POLLIN)
        poll.poll(_DEATH_SECONDS * 1000)
        self.channel.close()
        for descriptor in (self.output, self.errors, self.process):
            os.close(descriptor)


@dataclass
class Text:
    """What came of one of the script's streams."""

    descriptor: int
    most: int
    content: bytearray = field(default_factory=bytearray)
    open: bool = True

    def take(self) -> bool:
        """Take what is there; False if it is more than is allowed."""
        piece = os.read(self.descriptor, min(2**16, self.most + 1 - len(self.content)))
        self.content += piece
        self.open = bool(piece)
        if len(self.content) <= self.most:
            return True
        del self.content[self.most :]
        self.open = False
        return False
