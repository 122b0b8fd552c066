"""The datasite's handle on its trainer: a locked-down child process, of whose answers nothing is believed unchecked."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datasites.execution.trainer_messages import (
    Load,
    Loaded,
    Prepare,
    Prepared,
    Ready,
    Result,
    Round,
    parse_message,
)
from datasites.execution.trainer_result import RoundResult, TrainerFailedError
from datasites.execution.trainer_start import ALONE, Place, ended_by, start_trainer
from datasites.sandbox.frames import (
    Frame,
    Piece,
    is_silent,
    read_frame,
    read_header,
    read_into,
    write_stream,
)
from policies.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError
from policies.statements.schema import Model

_BLOCK_NUMBERS = 32 * 1024


class TrainerProcess:
    """One study's trainer. Use it as a context manager: `prepare`, then `load`, then `round` once a charged round.

    The child inherits no environment, no open file and no working directory, and opens nothing once it answers. It
    holds the programs and the private data, and neither keys nor ledger nor network. It ends with this process. After
    any error it is ended, and so is its use. Every method raises `TrainerFailedError` if the child ends, does not
    answer within `seconds`, or answers something that is not due.
    """

    layers: tuple[str, ...] = ()
    """What holds the child, for the audit log: see `datasites.sandbox.lockdown.lock_down`."""

    cache_bytes = 0
    """How large a file the child needs for what it computes once; it is handed in with the data."""

    def __init__(
        self,
        *,
        memory_bytes: int,
        threads: int = 1,
        place: Place = ALONE,
        start_seconds: float,
        cache_bytes: int = 0,
    ) -> None:
        """Say how much address space the child may have, how many threads its matrix products may use, with whom it
        trains, how long its start may take (it needs about 2 s), and what it may keep of a cache on disk.
        """
        self._memory_bytes, self._threads, self._place = memory_bytes, threads, place
        self._most_cache_bytes = cache_bytes
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._study: Prepare | None = None
        self._owes_update = False
        self._door: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start the child and wait until it is locked down.

        Raises:
            RefusedError: this machine cannot lock it down.
        """
        self._door, childs_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with childs_door:
            limits = (self._memory_bytes, childs_door.fileno(), self._most_cache_bytes, self._threads)
            self._process = start_trainer(limits, self._place)
        for descriptor in self._pipes():
            os.set_blocking(descriptor, False)
        ready = self._hear(Ready, time.monotonic() + self._start_seconds)
        if ready.refusal is not None:
            self._end()
            raise RefusedError(ready.refusal)
        self.layers = ready.layers
        return self

    def __exit__(self, *_: object) -> None:
        """End the child, whatever it is doing."""
        self._end()

    def kill(self) -> None:
        """Kill the child, from any thread; whoever waits for its answer gets `TrainerFailedError`."""
        process = self._process
        if process is not None:
            process.kill()

    @property
    def ended(self) -> bool:
        """Whether the child is gone, by whomever it was ended."""
        return self._process is None or self._process.poll() is not None

    def prepare(self, study: Prepare, parameters: Iterable[Piece], size: int, *, seconds: float) -> None:
        """Hand over the study and its parameter file, to be checked completely before any data is there.

        Afterwards `cache_bytes` says how large a file it needs beside the data.

        Args:
            parameters: the file's `size` bytes, in pieces of any size; each is sent before the next is asked for.

        Raises:
            InvalidInputError: the trainer refuses them, saying why.
        """
        answer = self._ask(study.canonical(), size, parameters, Prepared, seconds)
        if answer.refusal is not None:
            self._end()
            raise InvalidInputError(answer.refusal)
        if answer.cache_bytes > self._most_cache_bytes:
            raise self._failed("asked for a larger cache than it may have")
        self._study, self.cache_bytes = study, answer.cache_bytes

    def load(self, snapshot: int, cache: int | None, *, seconds: float) -> None:
        """Hand over the data: the read-only descriptor of a checked snapshot; the door shuts behind it.

        Args:
            cache: the descriptor of an empty file of `cache_bytes`, to be read and written by the child alone.
        """
        door, self._door = self._door, None
        if door is None:
            raise ConflictError("The trainer was given its data already; start another one.")
        with door:
            try:
                socket.send_fds(door, [b"\0"], [snapshot] if cache is None else [snapshot, cache])
            except OSError as error:
                raise self._failed("ended, or did not answer in time") from error
        self._ask(Load().canonical(), 0, (), Loaded, seconds)

    def round(
        self, model: Iterable[Piece], *, number: int, trains: bool, evaluates: bool, seconds: float
    ) -> RoundResult:
        """Compute round `number` (from 1) from the global `model`; its charge must stand already.

        Args:
            model: float32 [parameter_count], little-endian, in pieces of any size, each sent before the next is taken.
            seconds: for everything, until the last block of the update was taken. Taking a block raises
                `TrainerFailedError` as this method does, and only a complete update ends without it.
        """
        if self._study is None:
            raise ConflictError("The trainer has no study yet; prepare it first.")
        deadline = time.monotonic() + seconds
        due = Result(
            metrics=self._study.evaluation.counts if evaluates else 0,
            update=self._study.parameter_count if trains else 0,
        )
        size = 8 * (due.metrics + due.update)
        metrics = np.empty(due.metrics, "<f8")
        with self._expecting_an_answer():
            self._require_silence()
            to_child, from_child = self._pipes()
            header = Round(number=number, trains=trains, evaluates=evaluates).canonical()
            write_stream(to_child, header, 4 * self._study.parameter_count, model, deadline)
            answer, length = read_header(from_child, maximum_body=size, deadline=deadline)
            if length != size or parse_message(Result, Frame(answer)) != due:
                raise InvalidInputError("The trainer's result has another size than the study gives this round.")
            read_into(from_child, metrics.view(np.uint8).data, deadline)
        self._owes_update = trains
        return RoundResult(metrics if evaluates else None, self._update_blocks(due.update, deadline), self.layers)

    def _update_blocks(self, left: int, deadline: float) -> Iterator[NDArray[np.float64]]:
        room = np.empty(_BLOCK_NUMBERS, "<f8")
        while left:
            block = room[:left]
            left -= block.size
            with self._expecting_an_answer():
                _, from_child = self._pipes()
                read_into(from_child, block.view(np.uint8).data, deadline)
            yield block
        self._owes_update = False
        with self._expecting_an_answer():
            self._require_silence()

    def _ask(
        self, question: bytes, body_length: int, body: Iterable[Piece], answer: type[Model], seconds: float
    ) -> Model:
        deadline = time.monotonic() + seconds
        to_child, _ = self._pipes()
        with self._expecting_an_answer():
            self._require_silence()
            write_stream(to_child, question, body_length, body, deadline)
        return self._hear(answer, deadline)

    def _hear(self, answer: type[Model], deadline: float) -> Model:
        _, from_child = self._pipes()
        with self._expecting_an_answer():
            return parse_message(answer, read_frame(from_child, maximum_body=0, deadline=deadline))

    @contextmanager
    def _expecting_an_answer(self) -> Iterator[None]:
        """End the child and say `TrainerFailedError` if it is gone or late, or says something that is not due."""
        try:
            yield
        except UnavailableError as error:
            raise self._failed("ended, or did not answer in time", silent=True) from error
        except InvalidInputError as error:
            raise self._failed("answered something that was not due") from error
        except BaseException:
            self._end()  # such as an error of whoever hands over the model: the pipe is in the middle of a frame
            raise

    def _require_silence(self) -> None:
        _, from_child = self._pipes()
        if self._owes_update or not is_silent(from_child):
            raise InvalidInputError("The trainer spoke, or still had to speak, when nothing more was due.")

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ConflictError("The trainer is not running; start one, by using it in a `with` statement.")
        return process.stdin.fileno(), process.stdout.fileno()

    def _failed(self, how: str, *, silent: bool = False) -> TrainerFailedError:
        status = -signal.SIGKILL if self._process is None else ended_by(self._process)  # another thread ended it
        self._end()
        return TrainerFailedError(
            f"The trainer {how}; it was stopped, and what was charged for stays spent.",
            was_killed=status == -signal.SIGKILL,
            was_late=silent and status is None,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if self._door is not None:
            self._door.close()
            self._door = None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
