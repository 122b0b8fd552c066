"""The trainer's process: locks itself down, then takes a study, its data and its rounds.

Messages come and go over two pipes; the data comes as one open file, read-only, through a socket that is then closed,
and beside it, if the study needs one, comes an empty file for what is computed once of each record.

It answers an error by ending: after the data is in, not even the kind of error crosses to the datasite's process.
"""

import fcntl
import gc
import os
import select
import socket
import struct
import threading
from typing import Never

import numpy as np
import torch

from datasites.execution.trainer_messages import (
    MAXIMUM_PROGRAM_VALUES_BYTES,
    Load,
    Loaded,
    Prepare,
    Prepared,
    Ready,
    Result,
    Round,
    message_frame,
    parse_message,
)
from datasites.sandbox.frames import read_frame, write_frame, write_stream
from datasites.sandbox.lockdown import lock_down
from datasites.training.data import Units
from datasites.training.evaluation import local_evaluation
from datasites.training.load_units import load_units
from datasites.training.rehearsal import rehearse
from datasites.training.study import Study, prepare_study
from datasites.training.trainer import local_training
from datasites.training.workers import Workers, workers_of
from policies.errors import CloisterError, RefusedError
from policies.programs.tokeniser import MAXIMUM_TOKENISER_BYTES
from policies.statements.schema import as_text

_INPUT = 0
_DESCRIPTOR = struct.Struct("i")
_SHARE_OF_MEMORY = 4


def main(memory_bytes: int, door: int, cache_bytes: int, threads: int, rank: int, count: int, *links: int) -> None:
    """Serve one study, and end when the other end of the pipe closes.

    Args:
        memory_bytes: most address space the process may have.
        door: the descriptor of the Unix socket through which the snapshot comes.
        cache_bytes: how long the file may become that comes beside it.
        threads: how many of the processor's threads it may use once it is locked down, which takes a single one.
        rank: which of the `count` workers of this study it is; the `links` are described at `workers_of`.
    """
    output = os.dup(1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rehearse()
    gc.freeze()  # what is there now stays
    gc.enable()
    entrance = socket.socket(fileno=door)
    layers = _lock_down(output, memory_bytes, door, cache_bytes)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    write_frame(output, message_frame(Ready(layers=layers, refusal=None)))
    workers = workers_of(rank, count, links)
    study = _prepare(output, memory_bytes // _SHARE_OF_MEMORY, cache_bytes, count)
    parse_message(Load, read_frame(_INPUT, maximum_body=0))
    training, holdout = load_units(study, *_receive(entrance))
    write_frame(output, message_frame(Loaded()))
    while True:
        _round(output, study, training, holdout, workers)


def _lock_down(output: int, memory_bytes: int, door: int, cache_bytes: int) -> tuple[str, ...]:
    try:
        return lock_down(memory_bytes, door, cache_bytes)
    except RefusedError as error:
        write_frame(output, message_frame(Ready(layers=(), refusal=as_text(str(error)))))
        raise


def _end_with_parent() -> Never:
    """End as soon as the datasite's process is gone, even in the middle of a step.

    PR_SET_PDEATHSIG would end the trainer with the *thread* that started it, which need not live as long.
    """
    poll = select.poll()
    poll.register(_INPUT, 0)
    poll.poll()
    os._exit(1)


def _prepare(output: int, memory_bytes: int, cache_bytes: int, workers: int) -> Study:
    frame = read_frame(_INPUT, maximum_body=MAXIMUM_PROGRAM_VALUES_BYTES + MAXIMUM_TOKENISER_BYTES)
    try:
        study = prepare_study(parse_message(Prepare, frame), bytes(frame.body), memory_bytes, cache_bytes, workers)
    except CloisterError as error:
        write_frame(output, message_frame(Prepared(refusal=as_text(str(error)), cache_bytes=0)))
        raise
    write_frame(output, message_frame(Prepared(refusal=None, cache_bytes=study.cache_bytes)))
    return study


def _receive(entrance: socket.socket) -> tuple[int, int | None]:
    """The descriptors of the snapshot, and of the cache if one comes; nothing further can come."""
    with entrance:
        # Not socket.recv_fds, which imports a module when it is called.
        _, ((_, _, content),), _, _ = entrance.recvmsg(1, socket.CMSG_SPACE(2 * _DESCRIPTOR.size))
    snapshot, *caches = (number for (number,) in _DESCRIPTOR.iter_unpack(content))
    if fcntl.fcntl(snapshot, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        raise RefusedError("The data came in a file that could be written to.")
    return snapshot, caches[0] if caches else None


def _round(output: int, study: Study, training: Units, holdout: Units, workers: Workers) -> None:
    frame = read_frame(_INPUT, maximum_body=4 * study.loss.program.parameter_count)
    asked = parse_message(Round, frame)
    model = torch.from_numpy(np.frombuffer(frame.body, "<f4"))
    update, metrics = np.empty(0, "<f8"), np.empty(0, "<f8")
    if asked.trains:
        nominal = study.size.nominal_training_units
        update = local_training(study.loss, model, training, study.training, nominal, asked.number, workers).numpy()
    if asked.evaluates:
        nominal = study.size.nominal_holdout_units
        metrics = local_evaluation(study.metrics, model, holdout, study.evaluation, nominal, workers)
    header = Result(metrics=metrics.size, update=update.size).canonical()
    write_stream(
        output, header, metrics.nbytes + update.nbytes, (metrics.view(np.uint8).data, update.view(np.uint8).data)
    )
