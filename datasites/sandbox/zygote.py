"""The datasite's handle on its sandbox: a warm process that forks for each errand, behind all walls of this machine."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, Self

from datasites.sandbox import control_group
from datasites.sandbox.attendance import Attendance
from datasites.sandbox.environment import OWN_PACKAGES
from datasites.sandbox.errand import Cancel, Errand, Outcome
from datasites.sandbox.line import Line
from datasites.sandbox.messages import MOST_SHOWN
from policies.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError

_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from datasites.sandbox.zygote_process import main; main(int(sys.argv[2]), sys.argv[3])"
)
# A fork must find one thread: so no pools, and Arrow's allocator without a thread of its own.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",  # each thread that waits for memory would else take 64 MiB of the address space it has
    "MPLBACKEND": "Agg",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
}
_ANSWER_SECONDS = 60.0
Errands = Literal["one", "many"]
_REFUSALS = {
    b"t": "The sandbox's process has several threads, which a fork would not survive; report this.",
    b"n": "This machine lets the datasite make no namespaces of its own; ask `datasite doctor`.",
    b"b": "Nothing bounds the threads of a job on this machine; ask `datasite doctor`.",
}


class Zygote:
    """One researcher's sandbox. Use it as a context manager; it ends with this process.

    Forks share a layout of memory, so two researchers never share a zygote. It needs some seconds until everything that
    jobs import is imported; an errand that comes before then starts all the same, and imports what it needs itself.
    """

    def __init__(self, niceness: int = 0, errands: Errands = "many") -> None:
        """Args:
        niceness: from 0 to 19, how far everything else on this machine goes first.
        errands: for «one» nothing is imported ahead, which would not be ready in time.
        """
        self._niceness, self._errands = niceness, errands
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        """Start it; it need not be waited for."""
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _START, str(OWN_PACKAGES), str(its.fileno()), self._errands],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT | _cache_folder(),
                cwd="/",
                start_new_session=True,
                pass_fds=(its.fileno(),),
            )
        _give_way(self._process.pid, self._niceness)
        ours.settimeout(_ANSWER_SECONDS)
        self._line = ours
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and whatever errand it is doing."""
        process, self._process = self._process, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()
            control_group.remove(process.pid)

    @property
    def ended(self) -> bool:
        """Whether it is gone, by whomever it was ended."""
        return self._process is None or self._process.poll() is not None

    def run(self, errand: Errand, write: Callable[[bytes | memoryview], object], cancel: Cancel) -> Outcome:
        """Do one errand; one at a time.

        Args:
            write: gets the outputs' bytes one after the other, in the order of `Outcome.outputs`. A piece is valid
                until the next one comes. If the ending is "killed" or "cancelled", the last output may be incomplete.
            cancel: ends the errand at once when it is rung, from another thread.

        Raises:
            RefusedError: this machine lacks a wall, or a shown file is not the one that was checked; nothing ran.
            UnavailableError: the sandbox was ended from outside before the script began; nothing ran.
            ConflictError: it has ended, or is doing another errand.
            InvalidInputError: the errand is not well formed.
        """
        if not self._turn.acquire(blocking=False):
            raise ConflictError(
                "The sandbox does one errand at a time; wait for the other one, or start another sandbox."
            )
        try:
            line = self._begin(errand)
            try:
                return Attendance(line, errand, write, cancel).run()
            finally:
                line.end()
        finally:
            self._turn.release()

    def _begin(self, errand: Errand) -> Line:
        zygote = self._line
        if zygote is None or self.ended:
            raise ConflictError("The sandbox has ended; start another one.")
        if len(errand.shown) > MOST_SHOWN:
            raise InvalidInputError(f"{len(errand.shown)} files are to be shown; at most {MOST_SHOWN} can be.")
        with ExitStack() as its_ends, ExitStack() as ours:
            channel, its_channel = socket.socketpair()
            ours.callback(channel.close)
            its_ends.callback(its_channel.close)
            output, errors = (_pipe(ours, its_ends) for _ in range(2))
            descriptors = [its_channel.fileno(), output[1], errors[1], *(file.descriptor for file in errand.shown)]
            try:
                socket.send_fds(zygote, [b"\0"], descriptors)
                answer, ends, _, _ = socket.recv_fds(zygote, 1, 1)
            except OSError as error:
                raise UnavailableError("The sandbox ended, or did not answer; start another one.") from error
            if not ends:
                raise (
                    RefusedError(_REFUSALS[answer])
                    if answer in _REFUSALS
                    else UnavailableError("The sandbox ended; start another one.")
                )
            os.set_blocking(channel.fileno(), False)
            ours.pop_all()
            return Line(channel, output[0], errors[0], ends[0])


def _give_way(pid: int, niceness: int) -> None:
    os.setpriority(os.PRIO_PROCESS, pid, niceness)
    if niceness:
        with suppress(OSError):  # where the kernel groups sessions, only the group's own niceness counts between them
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def _pipe(ours: ExitStack, its: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    its.callback(os.close, writing)
    return reading, writing


def _cache_folder() -> dict[str, str]:
    """Where matplotlib keeps what it found out about fonts: else it takes a second, and a folder in /tmp, each time."""
    try:
        folder = Path.home() / ".cache" / "matplotlib"
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):
        return {}
    return {"MPLCONFIGDIR": str(folder)} if os.access(folder, os.W_OK) else {}
