"""A round of training over several machines of one site, each with its shard of the units; started by torchrun.

On each machine, with that machine's number as RANK (0 leads) and the leader's name or address:

    torchrun --nnodes COUNT --nproc-per-node 1 --node-rank RANK --master-addr LEADER --master-port PORT \\
        -m datasites.training.distributed STUDY SHARDS SECRET UPDATE

STUDY is a folder with `study.json` (the trainer's `Prepare`), `parameters` (its parameter file), `model` (the global
model, float32) and `round.json` (`DistributedRound`), the same everywhere. SHARDS is what `datasites.catalog.shards`
wrote; a machine needs its own shard and the list. SECRET is a file of 32 random bytes, mode 0600, the same everywhere.
The leader writes the noised change of the model to UPDATE, float32: as any trainer's, it is not to be shown to anybody
before it is masked, and this command charges nobody's budget. A charge backs one update: the leader makes an empty file
`round.json.started` beside `round.json` before anything is trained, and where there is one no round starts; a further
round, charged for, comes with a folder of its own.

What trains is the locked-down child that trains on one machine, here too without network: it talks to this process
alone, which seals what goes to the leader's machine and back. torch.distributed finds the leader's port, and no more:
its gloo backend has threads, which a process that is locked down may not have, and does not encrypt. A worker that
ends or is late ends the round everywhere, without an update.

torchrun trusts whoever reaches its port, even to run code: let none but the site's machines reach it.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from datasites.catalog.checked_file import CheckedFile
from datasites.catalog.shards import open_shard
from datasites.execution.sealed_link import SECRET_BYTES, SealedLink
from datasites.execution.trainer_messages import MAXIMUM_PARAMETER_BYTES, Prepare
from datasites.execution.trainer_process import TrainerProcess
from datasites.execution.trainer_start import Place
from datasites.protocol.private_files import read_private_file, sync_folder, write_private_file
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, UnavailableError
from policies.statements.schema import StrictModel, parse_model

_PORT = "cloister-leader-port"
_STARTED = "round.json.started"
_TAKEN = f"A charge backs one update, and this round was started before (see {_STARTED}); charge for a further one."


class DistributedRound(StrictModel):
    """Which round it is, and what each machine may use; `study.json` counts the units of all shards."""

    version: Literal["cloister-distributed-round/1"] = "cloister-distributed-round/1"
    number: Annotated[int, Field(ge=1, le=10_000)]
    threads: Annotated[int, Field(ge=1, le=256)]
    memory_bytes: Annotated[int, Field(ge=2**30, le=2**44)]
    seconds: Annotated[int, Field(ge=1, le=604_800)]


class _Files(NamedTuple):
    """What all workers must have alike: the study's files by name, and what the two that are read here say."""

    contents: Mapping[str, bytes]
    study: Prepare
    todo: DistributedRound


def main(study: Path, shards: Path, secret: Path, update: Path) -> None:
    """Be the worker that torchrun's environment says, for one round.

    Raises:
        CloisterError: a file is not what it should be, or a worker is gone, late, or not of this site and round.
    """
    files, key = _read(study), read_private_file(secret, maximum_bytes=SECRET_BYTES)
    if len(key) != SECRET_BYTES:
        raise InvalidInputError(f"The workers' secret is {SECRET_BYTES} random bytes; {secret} has {len(key)}.")
    if update.exists() or os.environ.get("TORCHELASTIC_MAX_RESTARTS") != "0":
        raise ConflictError("A charge backs one update: name a new file, and let torchrun start with --max-restarts 0.")
    if (study / _STARTED).exists():
        raise ConflictError(_TAKEN)
    store, rank, count = next(rendezvous("env://", timeout=timedelta(seconds=files.todo.seconds)))
    shard, listed = open_shard(shards, rank)
    with shard:
        if len(listed.shards) != count:
            raise InvalidInputError(f"There are {len(listed.shards)} shards and {count} workers; each takes one.")
        alike = (*files.contents.values(), listed.canonical())
        agreed = sha256(b"".join(sha256(it).digest() for it in alike)).digest()
        with ExitStack() as stack:
            links = []
            for connection in _connections(store, rank, count, files.todo.seconds):
                link = SealedLink(connection, key, agreed, rank=rank, calls=rank > 0, seconds=files.todo.seconds)
                links.append(stack.enter_context(closing(link)))
            links.sort(key=lambda link: link.other)
            if [link.other for link in links] != (list(range(1, count)) if rank == 0 else [0]):
                raise NotAuthenticError("Two workers are the same one; start each with a --node-rank of its own.")
            if rank == 0:
                _mark_started(study)
            change = _train(files, shard, rank, count, stack.enter_context(_carried(links)))
    if rank == 0:
        write_private_file(update, change.tobytes())


def _read(folder: Path) -> _Files:
    names = ("study.json", "parameters", "model", "round.json")
    contents = {name: read_private_file(folder / name, maximum_bytes=MAXIMUM_PARAMETER_BYTES) for name in names}
    files = _Files(
        contents,
        parse_model(Prepare, contents["study.json"], maximum_bytes=MAXIMUM_HEADER_BYTES, what="study.json"),
        parse_model(DistributedRound, contents["round.json"], maximum_bytes=MAXIMUM_HEADER_BYTES, what="round.json"),
    )
    if files.todo.number > files.study.training.rounds:
        raise InvalidInputError(f"The study has {files.study.training.rounds} rounds; there is no {files.todo.number}.")
    return files


def _mark_started(folder: Path) -> None:
    """Take the folder's round for this process, once and for all, on disk when this returns."""
    try:
        os.close(os.open(folder / _STARTED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        raise ConflictError(_TAKEN) from error
    sync_folder(folder)


def _train(
    files: _Files, shard: CheckedFile, rank: int, count: int, ends: Sequence[socket.socket]
) -> NDArray[np.float32]:
    contents, seconds = files.contents, files.todo.seconds
    with TrainerProcess(
        memory_bytes=files.todo.memory_bytes,
        threads=files.todo.threads,
        place=Place(rank, count, tuple(end.fileno() for end in ends)),
        start_seconds=seconds,
    ) as trainer:
        for end in ends:
            end.close()  # the trainer has it, and its end must show
        trainer.prepare(files.study, (contents["parameters"],), len(contents["parameters"]), seconds=seconds)
        trainer.load(shard.descriptor, None, seconds=seconds)
        model = (contents["model"],)
        result = trainer.round(model, number=files.todo.number, trains=True, evaluates=False, seconds=seconds)
        change = np.concatenate([block.copy() for block in result.update])
        shard.require_unchanged()
        return change


def _connections(store: Store, rank: int, count: int, seconds: float) -> Iterator[socket.socket]:
    """The leader's connections from all others, or another worker's to the leader; torchrun's store knows the port."""
    leader = os.environ["MASTER_ADDR"]
    try:
        if rank > 0:
            yield socket.create_connection((leader, int(store.get(_PORT))), timeout=seconds)
        elif count > 1:
            with socket.create_server((leader, 0), backlog=count) as server:
                server.settimeout(seconds)
                store.set(_PORT, str(server.getsockname()[1]))
                for _ in range(count - 1):
                    yield server.accept()[0]
    except OSError as error:
        raise UnavailableError(f"The workers did not meet at {leader}: {error.strerror or error}.") from error


@contextmanager
def _carried(links: list[SealedLink]) -> Iterator[list[socket.socket]]:
    """For each link the end of a local socket that a trainer may have; what passes there goes over the link."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in links]
    carriers = [
        threading.Thread(target=link.carry, args=(own,), daemon=True)
        for link, (own, _) in zip(links, pairs, strict=True)
    ]
    for carrier in carriers:
        carrier.start()
    try:
        yield [end for _, end in pairs]
    finally:
        for _, end in pairs:
            end.close()
        for carrier in carriers:
            carrier.join()
        for own, _ in pairs:
            own.close()


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:]))
    except CloisterError as error:
        sys.exit(str(error))
