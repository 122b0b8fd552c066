"""How the datasite attends an errand: hands it over, holds the clock and the bounds, and takes what comes back.

Nothing that comes is believed but for strict messages of bounded size; whoever lies can only end this one errand.
"""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from socket import SHUT_WR

from datasites.sandbox.errand import ERRORS, Cancel, Ending, Errand, Outcome, Output
from datasites.sandbox.frames import Piece, read_header, read_into, write_stream
from datasites.sandbox.line import Line, Text
from datasites.sandbox.messages import Complete, Content, Ended, File, Locked, ShownFile, Task, parse
from datasites.sandbox.outputs import plain_words
from policies.errors import InvalidInputError, RefusedError, UnavailableError
from policies.jobs.release import MAXIMUM_OUTPUTS

_START_SECONDS, _STOP_SECONDS, _FRAME_SECONDS = 30.0, 1.0, 10.0
_BYTES_A_SECOND = 2**20
_PIECE = 2**20


class _CancelledError(Exception):
    """The bell rang while something was handed over or taken."""


def task_of(errand: Errand) -> Task:
    """The errand as the keeper gets it.

    Raises:
        InvalidInputError: a place is not an absolute, plain path.
    """
    limits = errand.limits
    try:
        return Task(
            program=errand.program,
            script=errand.script,
            files=tuple(File(place=place, size=len(content)) for place, content in errand.files.items()),
            shown=tuple(ShownFile(place=file.place, path=str(file.path)) for file in errand.shown),
            working_folder=errand.working_folder,
            collected=errand.collected,
            environment=dict(errand.environment),
            memory_bytes=limits.memory_bytes,
            disk_bytes=limits.disk_bytes,
            cpu_seconds=limits.cpu_seconds,
            threads=limits.threads,
            packages=errand.packages,
        )
    except ValueError as error:
        raise InvalidInputError(
            "The errand names a place that is not an absolute, plain path, or has no limit."
        ) from error


class Attendance:
    """One errand on one line. `run` it once."""

    def __init__(
        self, line: Line, errand: Errand, write: Callable[[bytes | memoryview], object], cancel: Cancel
    ) -> None:
        self._line, self._errand, self._write, self._cancel = line, errand, write, cancel
        self._texts = [Text(line.output, errand.limits.text_bytes), Text(line.errors, errand.limits.text_bytes)]
        self._verdict: Ending | None = None
        self._layers: tuple[str, ...] = ()
        self._outputs: list[Output] = []
        self._left_out: tuple[str, ...] = ()

    def run(self) -> Outcome:
        """Hand the errand over, and attend it to its end.

        Raises:
            RefusedError: the sandbox could not be built; nothing ran.
            UnavailableError: its process ended before the script began.
        """
        begun, ended = time.monotonic(), None
        try:
            self._hand_over()
            self._lock()
            begun = time.monotonic()
            ended = self._follow(begun + self._errand.limits.wall_seconds)
            seconds = time.monotonic() - begun
            self._drain()
            if ended is not None and self._verdict is None and ended.ending != "stopped":
                self._take_outputs()
        except _CancelledError:
            self._verdict = "cancelled"
            seconds = time.monotonic() - begun
        return self._outcome(ended, seconds)

    def _outcome(self, ended: Ended | None, seconds: float) -> Outcome:
        ending: Ending = self._verdict or "killed"
        if self._verdict is None and ended is not None and ended.ending != "stopped":
            ending = ended.ending
        error = ended.error if ended is not None and ending == "failed" else ""
        return Outcome(
            ending=ending,
            error=error if error in ERRORS or not error else "other",
            outputs=tuple(self._outputs),
            left_out=self._left_out,
            stdout=bytes(self._texts[0].content),
            stderr=bytes(self._texts[1].content),
            wall_seconds=seconds,
            cpu_seconds=ended.cpu_microseconds / 1e6 if ended is not None else 0.0,
            peak_memory_bytes=ended.peak_memory_bytes if ended is not None else 0,
            layers=self._layers,
        )

    def _hand_over(self) -> None:
        size = sum(len(content) for content in self._errand.files.values())
        deadline = time.monotonic() + _START_SECONDS + size / _BYTES_A_SECOND
        with suppress(UnavailableError):  # it refused before it had everything, and says why
            header = task_of(self._errand).canonical()
            write_stream(self._line.channel.fileno(), header, size, self._file_pieces(), deadline)

    def _file_pieces(self) -> Iterator[Piece]:
        for content in self._errand.files.values():
            for start in range(0, len(content), _PIECE):
                self._heed()
                yield memoryview(content)[start : start + _PIECE]

    def _lock(self) -> None:
        self._wait([self._line.channel.fileno()], time.monotonic() + _START_SECONDS)
        try:
            header, _ = self._next(0)
            locked = parse(Locked, header)
        except (UnavailableError, InvalidInputError) as error:
            raise UnavailableError("The sandbox ended, or did not answer, before the script began.") from error
        if locked.refusal is not None:
            raise RefusedError(locked.refusal)
        self._layers = locked.layers

    def _follow(self, deadline: float) -> Ended | None:
        """Until the script has ended, or was told to and did not."""
        channel = self._line.channel.fileno()
        while True:
            streams = {text.descriptor: text for text in self._texts if text.open}
            ready = self._wait([channel, *streams], deadline)
            if not ready and self._verdict is not None:
                return None
            if not ready:
                deadline = self._stop("timed-out")
            for descriptor in ready & streams.keys():
                if not streams[descriptor].take() and self._verdict is None:
                    deadline = self._stop("too-much-output")
            if channel in ready:
                try:
                    return parse(Ended, self._next(0)[0])
                except (UnavailableError, InvalidInputError):
                    return None

    def _stop(self, verdict: Ending) -> float:
        """Tell the keeper to end the script; until when it has time for that."""
        self._verdict = verdict
        with suppress(OSError):
            self._line.channel.shutdown(SHUT_WR)
        return time.monotonic() + _STOP_SECONDS

    def _drain(self) -> None:
        """Take what the script printed last; nobody writes to its streams any more."""
        for text in self._texts:
            while text.open and self._ready([text.descriptor], 0.0):
                if not text.take():
                    self._verdict = self._verdict or "too-much-output"

    def _take_outputs(self) -> None:
        left = self._errand.limits.disk_bytes
        try:
            while True:
                header, size = self._next(left)
                if b'"complete"' in header:
                    self._left_out = plain_words(parse(Complete, header))
                    return
                name = parse(Content, header).name
                if len(self._outputs) == MAXIMUM_OUTPUTS or any(output.name == name for output in self._outputs):
                    raise InvalidInputError("The sandbox sent an output twice, or more of them than there can be.")
                self._take(name, size)
                left -= size
        except (UnavailableError, InvalidInputError):
            pass
        self._verdict = "killed"  # the keeper did not do what our code does

    def _take(self, name: str, size: int) -> None:
        """Write an output out; if that is cut short, it is known by the size that was written."""
        room, taken = memoryview(bytearray(min(size, _PIECE))), 0
        self._outputs.append(Output(name, 0))
        while taken < size:
            piece = room[: size - taken]
            self._wait([self._line.channel.fileno()], time.monotonic() + _FRAME_SECONDS)
            read_into(self._line.channel.fileno(), piece, time.monotonic() + _FRAME_SECONDS)
            self._write(piece)
            taken += len(piece)
            self._outputs[-1] = Output(name, taken)

    def _next(self, most: int) -> tuple[bytes, int]:
        self._heed()
        return read_header(self._line.channel.fileno(), maximum_body=most, deadline=time.monotonic() + _FRAME_SECONDS)

    def _wait(self, descriptors: list[int], deadline: float) -> set[int]:
        """Which of these can be read; none at the deadline."""
        ready = self._ready([*descriptors, self._cancel.fileno()], max(0.0, deadline - time.monotonic()))
        self._heed()
        return ready

    def _heed(self) -> None:
        if self._ready([self._cancel.fileno()], 0.0):
            raise _CancelledError

    def _ready(self, descriptors: list[int], seconds: float) -> set[int]:
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
