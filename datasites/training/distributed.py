"""A round of training over several machines of one site, each with its shard of the units; started by torchrun.

On each machine, with that machine's number as RANK (0 leads) and the leader's name or address:

    torchrun --nnodes COUNT --nproc-per-node 1 --node-rank RANK --master-addr LEADER --master-port PORT \\
        -m datasites.training.distributed STUDY SHARDS SECRET UPDATE

STUDY is a folder with `study.json` (the trainer's `Prepare`), `parameters` (its parameter file), `model` (the global
model, float32) and `round.json` (`DistributedRound`), the same everywhere. SHARDS is what `datasites.catalog.shards`
wrote; a machine needs its own shard and the list. SECRET is a file of 32 random bytes, mode 0600, the same everywhere.
The leader writes the noised change of the model to UPDATE, float32: as any trainer's, it is not to be shown to anybody
before it is masked, and this command charges nobody's budget.

What trains is the locked-down child that trains on one machine, here too without network: it talks to this process
alone, which seals what goes to the leader's machine and back. torch.distributed finds the leader's port, and no more:
its gloo backend has threads, which a process that is locked down may not have, and does not encrypt. A worker that
ends or is late ends the round everywhere, without an update.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from datasites.catalog.shards import open_shard
from datasites.execution.sealed_link import SECRET_BYTES, SealedLink
from datasites.execution.trainer_messages import MAXIMUM_PARAMETER_BYTES, Prepare
from datasites.execution.trainer_process import Place, TrainerProcess
from datasites.protocol.private_files import read_private_file, write_private_file
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, UnavailableError
from policies.statements.schema import StrictModel, parse_model

_PORT = "cloister-leader-port"


class DistributedRound(StrictModel):
    """Which round it is, and what each machine may use; `study.json` counts the units of all shards."""

    version: Literal["cloister-distributed-round/1"] = "cloister-distributed-round/1"
    number: Annotated[int, Field(ge=1, le=10_000)]
    threads: Annotated[int, Field(ge=1, le=256)]
    memory_bytes: Annotated[int, Field(ge=2**30, le=2**44)]
    seconds: Annotated[int, Field(ge=1, le=604_800)]


def main(study: Path, shards: Path, secret: Path, update: Path) -> None:
    """Be the worker that torchrun's environment says, for one round.

    Raises:
        CloisterError: a file is not what it should be, or a worker is gone, late, or not of this site and round.
    """
    names = ("study.json", "parameters", "model", "round.json")
    contents = {name: read_private_file(study / name, maximum_bytes=MAXIMUM_PARAMETER_BYTES) for name in names}
    asked = parse_model(Prepare, contents["study.json"], maximum_bytes=MAXIMUM_HEADER_BYTES, what="study.json")
    todo = parse_model(DistributedRound, contents["round.json"], maximum_bytes=MAXIMUM_HEADER_BYTES, what="round.json")
    key = read_private_file(secret, maximum_bytes=SECRET_BYTES)
    if len(key) != SECRET_BYTES:
        raise InvalidInputError(f"The workers' secret is {SECRET_BYTES} random bytes; {secret} has {len(key)}.")
    if update.exists() or os.environ.get("TORCHELASTIC_MAX_RESTARTS") != "0":
        raise ConflictError("A charge backs one update: name a new file, and let torchrun start with --max-restarts 0.")
    store, rank, count = next(rendezvous("env://", timeout=timedelta(seconds=todo.seconds)))
    shard, listed = open_shard(shards, rank)
    if len(listed.shards) != count:
        raise InvalidInputError(f"There are {len(listed.shards)} shards and {count} workers; each takes one.")
    agreed = sha256(b"".join(sha256(it).digest() for it in (*contents.values(), listed.canonical()))).digest()
    with ExitStack() as stack:
        stack.enter_context(shard)
        links = []
        for connection in _connections(store, rank, count, todo.seconds):
            link = SealedLink(connection, key, agreed, rank=rank, calls=rank > 0, seconds=todo.seconds)
            links.append(stack.enter_context(closing(link)))
        links.sort(key=lambda link: link.other)
        if [link.other for link in links] != (list(range(1, count)) if rank == 0 else [0]):
            raise NotAuthenticError(
                "Two workers say that they are the same one; start each with a --node-rank of its own."
            )
        ends = stack.enter_context(_carried(links))
        place = Place(rank, count, tuple(end.fileno() for end in ends))
        trainer = stack.enter_context(
            TrainerProcess(
                memory_bytes=todo.memory_bytes, threads=todo.threads, place=place, start_seconds=todo.seconds
            )
        )
        for end in ends:
            end.close()  # the trainer has it; so its end is noticed
        trainer.prepare(asked, (contents["parameters"],), len(contents["parameters"]), seconds=todo.seconds)
        trainer.load(shard.descriptor, None, seconds=todo.seconds)
        result = trainer.round(
            (contents["model"],), number=todo.number, trains=True, evaluates=False, seconds=todo.seconds
        )
        change = np.concatenate([block.copy() for block in result.update])
        shard.require_unchanged()
    if rank == 0:
        write_private_file(update, change.tobytes())


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
