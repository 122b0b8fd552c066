"""A machine of a site that trains with its leader's datasite on studies that do not fit one machine; under torchrun.

On each of the machines but the leader's, with that machine's number as RANK from 0:

    torchrun --nnodes COUNT --nproc-per-node 1 --node-rank RANK --master-addr FIRST --master-port PORT \\
        --max-restarts 100 -m datasites.execution.follower LEADER SECRET FOLDER

COUNT is how many such machines there are, FIRST the one with RANK 0. LEADER is the address, HOST:PORT, at which
`datasite serve` listens for machines, SECRET a copy of the file that `datasite machines` made, mode 0600, and FOLDER a
private folder for what this machine holds of a study while it trains it, in files without names.

A follower does what the leader says that holds the secret, and nothing else: it has no keys, no ledger, and no word
with any researcher. It decides on nothing: that a round was approved and charged, the leader has seen before it says a
word. What trains is the same locked-down child as on the leader's machine, without network: it talks to this process
alone, which seals what goes to the leader. torchrun starts and numbers followers, and starts them again when they end;
its own backends do not encrypt, and have threads, which a process that is locked down may not have.

torchrun trusts whoever reaches its port, even to run code: let none but the site's machines reach it.
"""

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from datasites.catalog.shards import cut_shard, shard_file, write_shard
from datasites.execution.cache_space import cache_file, room_for_cache
from datasites.execution.follower_messages import MAXIMUM_SHARD_BYTES, Begin, Following, Shard
from datasites.execution.sealed_link import SECRET_BYTES, SealedLink
from datasites.execution.trainer_messages import (
    MAXIMUM_PROGRAM_VALUES_BYTES,
    Loaded,
    Prepare,
    Round,
    message_frame,
    parse_message,
)
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainer_start import Place
from datasites.protocol.private_files import make_private_folder, read_private_file
from datasites.sandbox.frames import Frame, read_frame, read_header, read_into, write_frame
from datasites.serving.lifecycle import Pause, report
from policies.errors import CloisterError, InvalidInputError, UnavailableError
from policies.programs.tokeniser import MAXIMUM_TOKENISER_BYTES
from policies.rules.house_rules import MOST_MACHINES
from policies.statements.schema import as_text

_PIECE_BYTES = 2**20
_PROOF_SECONDS = 10.0
_HIGHEST_PORT = 65_535


def main(leader: str, secret_file: str, folder: str) -> None:
    """Follow the leader for as long as this process lives, one study a connection.

    Raises:
        CloisterError: an argument is not what it should be.
    """
    rank = int(os.environ["RANK"]) + 1
    if not 1 <= rank < MOST_MACHINES:
        raise InvalidInputError(f"RANK is {rank - 1}; with the leader there are at most {MOST_MACHINES} machines.")
    host, _, port = leader.rpartition(":")
    secret = read_private_file(Path(secret_file), maximum_bytes=SECRET_BYTES)
    if len(secret) != SECRET_BYTES or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise InvalidInputError("The leader's address is HOST:PORT, and the secret is what «datasite machines» made.")
    make_private_folder(Path(folder))
    pause = Pause()
    while True:
        try:
            connection = socket.create_connection((host, int(port)), timeout=_PROOF_SECONDS)
            link = SealedLink(connection, secret, rank=rank, calls=True, seconds=_PROOF_SECONDS)
        except (CloisterError, OSError, UnicodeError) as error:  # UnicodeError: no name of a host
            report(f"The leader cannot be joined at {leader}: {error}")
            time.sleep(pause.next())
            continue
        report(f"Machine {rank} has joined the leader.")
        if follow(link, Path(folder)):
            pause.reset()
        else:
            time.sleep(pause.next())


def follow(link: SealedLink, folder: Path) -> bool:
    """Wait until the leader begins a study over `link`, and do that in a thread of its own; False if it never does."""
    own, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    own.setblocking(False)
    carrier = threading.Thread(target=link.carry, args=(far,), daemon=True)
    carrier.start()
    poll = select.poll()
    poll.register(own, select.POLLIN)
    poll.poll()
    begins = bool(own.recv(1, socket.MSG_PEEK))
    study = threading.Thread(target=_study, args=(link, own, far, carrier, folder), daemon=True)
    study.start()
    if not begins:
        study.join()
    return begins


def _study(link: SealedLink, own: socket.socket, far: socket.socket, carrier: threading.Thread, folder: Path) -> None:
    """One study from its beginning until the leader ends it; a trainer that fails by itself is told to the leader.

    Before there is data why it fails is said in an answer; afterwards no more than that it did.
    """
    with closing(link), far:
        with own:
            try:
                _train(link, own.fileno(), folder)
            except UnavailableError:
                pass  # the leader has ended the study, or is gone
            except CloisterError as error:
                report(f"A study ended: {error}")
        carrier.join()


def _train(link: SealedLink, end: int, folder: Path) -> None:
    begin = parse_message(Begin, read_frame(end, maximum_body=0, deadline=time.monotonic() + _PROOF_SECONDS))
    header, size = read_header(end, maximum_body=MAXIMUM_PROGRAM_VALUES_BYTES + MAXIMUM_TOKENISER_BYTES)
    study, files = parse_message(Prepare, Frame(header)), _pieces(end, size)
    # The leader's deadline comes first: it knows whether a machine was lost, or a trainer is late by itself.
    seconds = 2.0 * begin.round_seconds
    with ExitStack() as stack:
        trainer = TrainerProcess(
            memory_bytes=begin.memory_bytes,
            threads=begin.threads,
            place=Place(begin.rank, begin.count, (end,)),
            start_seconds=begin.setup_seconds,
            cache_bytes=room_for_cache(folder),
        )
        try:
            stack.enter_context(trainer).prepare(study, files, size, seconds=begin.setup_seconds)
            # Room is taken before any round is charged: nothing is spent on a study that has no place here.
            writer, reader = stack.enter_context(shard_file(folder, begin.shard_bytes))
            cache = stack.enter_context(cache_file(folder, trainer.cache_bytes))
        except CloisterError as error:
            for _ in files:
                pass  # the leader listens when all is handed over
            write_frame(end, message_frame(Following(layers=(), refusal=as_text(str(error)))))
            report(f"This machine cannot train a study: {error}")
            return
        write_frame(end, message_frame(Following(layers=trainer.layers, refusal=None)))
        _receive(end, writer)
        try:
            trainer.load(reader, cache, seconds=seconds)
            write_frame(end, message_frame(Loaded()))
            while True:
                _round(trainer, end, seconds)
        except TrainerFailedError as error:
            link.failed_here = not (error.was_killed or error.was_late)
            raise


def _receive(end: int, writer: int) -> None:
    """Write this machine's part of the data to its file.

    Raises:
        TrainerFailedError: the disk did not take it.
    """
    header, size = read_header(end, maximum_body=MAXIMUM_SHARD_BYTES)
    parse_message(Shard, Frame(header))
    for piece in _pieces(end, size):
        try:
            write_shard(writer, np.frombuffer(piece, np.uint8))
        except UnavailableError as error:
            raise TrainerFailedError(str(error), was_killed=True) from error
    cut_shard(writer)


def _round(trainer: TrainerProcess, end: int, seconds: float) -> None:
    """Wait for a round, for as long as it takes, and compute it; what comes of it is the leader's to send."""
    header, size = read_header(end, maximum_body=MAXIMUM_PROGRAM_VALUES_BYTES)
    asked = parse_message(Round, Frame(header))
    result = trainer.round(
        _pieces(end, size), number=asked.number, trains=asked.trains, evaluates=asked.evaluates, seconds=seconds
    )
    for _ in result.update:
        pass


def _pieces(end: int, size: int) -> Iterator[bytearray]:
    """The `size` bytes of a frame's body, some at a time."""
    for start in range(0, size, _PIECE_BYTES):
        piece = bytearray(min(_PIECE_BYTES, size - start))
        read_into(end, memoryview(piece))
        yield piece


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (CloisterError, TypeError, KeyError) as error:
        sys.exit(f"{error}\nUsage: torchrun … -m datasites.execution.follower LEADER SECRET FOLDER")
