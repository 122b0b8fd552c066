"""The zygote: forks a keeper for each errand; it reads nothing of what an errand is about.

It has one thread, knows no key, and ends with the datasite. It begins lean, and answers at once. Meanwhile a fork of it
imports what jobs import, and then takes its place; whenever that one is idle, the processes of the next errand stand
ready, waiting for it in namespaces of their own.
"""

import gc
import importlib
import os
import select
import shutil
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from datasites.sandbox import control_group, kernel
from datasites.sandbox.bubblewrap import become_bubblewrap
from datasites.sandbox.keeper import keep, try_out
from datasites.sandbox.messages import MOST_SHOWN

_WARM = (
    "numpy", "pandas", "pyarrow", "pyarrow.parquet", "torch", "syft", "matplotlib.pyplot", "sklearn",
    "sklearn.linear_model", "sklearn.ensemble", "safetensors.numpy", "datasites.inspection.main",
)  # fmt: skip
_NEEDS_CACHE = "matplotlib.pyplot"
_DIES_FIRST = "1000"
"""When the machine is out of memory, an errand ends before anything else; the datasite lives on."""
STARTED, SEVERAL_THREADS, NO_NAMESPACES, NO_BOUND = b"s", b"t", b"n", b"b"
"""What the zygote answers to a request; beside the first, the descriptor of the keeper's process."""


@dataclass(frozen=True)
class _Keeper:
    """A keeper that waits: its id, a descriptor of its process, and the line to it."""

    process: int
    end: int
    line: socket.socket


class _CannotForkError(Exception):
    """No keeper can be made; the answer says why."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer


class _Zygote:
    def __init__(self, datasite: socket.socket) -> None:
        self._datasite = datasite
        self._ready: _Keeper | None = None
        self._ready_ahead = False
        self._busy: dict[int, int] = {}  # the end's descriptor → process
        self._needs_bound = control_group.needed()
        self._bound = control_group.make() if self._needs_bound else None
        self._outside = (os.geteuid(), os.getegid())
        self._bubblewrap = None if self._own_namespaces_hold() else shutil.which("bwrap")

    def live(self, *, warms: bool) -> None:
        """Serve the datasite until it closes its end: first this lean process, later the warm one."""
        if self._bubblewrap is not None or not warms:  # each of bubblewrap's errands starts cold
            self._serve(None)
            return
        successor, its = socket.socketpair()
        process = os.fork()
        if process == 0:
            try:
                successor.close()
                self._succeed(its)
            finally:
                os._exit(0)
        its.close()
        if self._serve(successor):
            os.waitpid(process, 0)

    def _succeed(self, predecessor: socket.socket) -> None:
        """Import everything, take the predecessor's place when it is idle, and serve the datasite."""
        kernel.die_with_parent()
        gc.disable()  # nearly nothing of what is imported is garbage, and to look for it takes a sixth of the time
        for name in _WARM:
            if name != _NEEDS_CACHE or "MPLCONFIGDIR" in os.environ:
                with suppress(Exception):  # a package that fails to load here fails in the job that asks for it
                    importlib.import_module(name)
        gc.collect()
        gc.freeze()
        gc.enable()
        if not _has_one_thread():
            return
        predecessor.send(b"w")
        if predecessor.recv(1):
            self._ready_ahead = True
            self._serve(None)

    def _own_namespaces_hold(self) -> bool:
        """Whether this machine lets us build a sandbox by system calls."""
        try:
            process = kernel.clone(kernel.ALL_NAMESPACES)
        except OSError:
            return False
        if process == 0:
            try_out(self._outside)
        return os.waitpid(process, 0)[1] == 0

    def _serve(self, successor: socket.socket | None) -> bool:
        """Until the datasite closes its end, or a warm successor was given this place, and then True."""
        while True:
            if self._ready_ahead and not (self._busy or self._ready):
                with suppress(_CannotForkError):
                    self._ready = self._make()
            poll = select.poll()
            watched = [self._datasite.fileno(), *self._busy]
            if successor is not None and not self._busy:
                watched.append(successor.fileno())
            for descriptor in watched:
                poll.register(descriptor, select.POLLIN)
            events = {descriptor for descriptor, _ in poll.poll()}
            for end in events & self._busy.keys():
                os.waitpid(self._busy.pop(end), 0)
                os.close(end)
            if self._datasite.fileno() in events and not self._answer():
                return False
            if successor is not None and successor.fileno() in events and not self._busy:
                if successor.recv(1):
                    successor.send(b"g")
                    return True
                successor = None  # it died

    def _answer(self) -> bool:
        """Hand what came to a keeper; whether the datasite is still there."""
        _, descriptors, _, _ = socket.recv_fds(self._datasite, 1, 3 + MOST_SHOWN)
        if not descriptors:
            return False
        try:
            keeper = self._take()
        except _CannotForkError as error:
            self._datasite.send(error.answer)
        else:
            with suppress(BrokenPipeError):  # it was killed: the datasite sees that at once
                socket.send_fds(keeper.line, [b"\0"], descriptors)
            socket.send_fds(self._datasite, [STARTED], [keeper.end])
            keeper.line.close()
            self._busy[keeper.end] = keeper.process
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _take(self) -> _Keeper:
        ready, self._ready = self._ready, None
        if ready is not None and os.waitpid(ready.process, os.WNOHANG) == (0, 0):
            return ready
        return self._make()

    def _make(self) -> _Keeper:
        if self._needs_bound and self._bound is None:
            raise _CannotForkError(NO_BOUND)
        if not _has_one_thread():
            raise _CannotForkError(SEVERAL_THREADS)
        ours, its = socket.socketpair()
        process = os.fork() if self._bubblewrap is not None else self._clone()
        if process == 0:
            try:
                if self._bubblewrap is not None:
                    become_bubblewrap(self._bubblewrap, its, self._bound)
                keep(its, self._outside, self._bound)
            finally:
                os._exit(1)
        its.close()
        return _Keeper(process, os.pidfd_open(process), ours)

    def _clone(self) -> int:
        try:
            return kernel.clone(kernel.ALL_NAMESPACES)
        except OSError as error:
            raise _CannotForkError(NO_NAMESPACES) from error


def _has_one_thread() -> bool:
    return len(list(Path("/proc/self/task").iterdir())) == 1


def main(descriptor: int, errands: str) -> Never:
    """Serve the datasite at the other end of the socket `descriptor`, then end with everything that was forked.

    For more `errands` than one, what jobs import is imported ahead.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(OSError):  # some containers do not let it
        Path("/proc/self/oom_score_adj").write_text(_DIES_FIRST)
    try:
        _Zygote(socket.socket(fileno=descriptor)).live(warms=errands == "many")
    finally:
        os._exit(0)
