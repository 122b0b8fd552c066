"""The machines that train one study together, as the leader's datasite holds them: what followers are told, and how
they end.

What is between a follower and the leader's trainer passes over one stream, by turns: the datasite speaks until the
follower has its data, and hands over each round; then the trainers speak among themselves until the round is done.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from datasites.catalog.shards import (
    Dealt,
    cut_shard,
    deal,
    fill_shard,
    public_bytes,
    shard_file,
    shard_pieces,
    write_shard,
)
from datasites.catalog.snapshot import CheckedSnapshot
from datasites.execution.follower_messages import Begin, Following, Shard
from datasites.execution.sealed_link import SealedLink
from datasites.execution.trainer_messages import DataSize, Loaded, Prepare, Round, message_frame, parse_message
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainer_start import Place
from datasites.sandbox.frames import Piece, read_frame, write_frame, write_stream
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError


class Team:
    """The leader's trainer and so many machines less one; alone it has nothing to do.

    Once there is data, every method raises `TrainerFailedError` if a follower is gone, late, or says something that is
    not due. It counts as killed from outside if a machine was lost, unless a follower said that its trainer failed by
    itself: that may have been for a record.
    """

    def __init__(self, machines: int) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(machines - 1)]
        self._ends, self._far_ends = [own for own, _ in pairs], [far for _, far in pairs]
        for end in self._ends:
            end.setblocking(False)
        self.place = Place(0, machines, tuple(end.fileno() for end in self._ends))
        self._links: tuple[SealedLink, ...] = ()
        self._carriers: list[threading.Thread] = []
        self._is_cut = False
        self._layers: Sequence[tuple[str, ...]] = ()

    @property
    def machines(self) -> int:
        """How many there are with the leader's."""
        return self.place.count

    @property
    def is_complete(self) -> bool:
        """Whether every follower there is to be has prepared the study."""
        return len(self._layers) == len(self._ends)

    @property
    def is_broken(self) -> bool:
        """Whether a follower that was told of the study is gone."""
        return any(link.lost or link.failed_there for link in self._links)

    def common(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Those of the leader's `layers` that hold every follower's trainer too."""
        return tuple(layer for layer in layers if all(layer in theirs for theirs in self._layers))

    def start(
        self,
        links: Sequence[SealedLink],
        begin: Begin,
        study: Prepare,
        file_bytes: int,
        files: Callable[[], Iterable[Piece]],
    ) -> None:
        """Let the machine behind each link start a trainer and prepare `study`, before there is any data.

        Args:
            links: to the followers, in the order of their ranks; they are this team's from here on.
            begin: for the first of them; each is told its own rank.
            files: the parameter file and the tokeniser, `file_bytes` together, in pieces; called once a follower.

        Raises:
            RefusedError: one of them cannot do that.
            UnavailableError: one is gone, or did not answer in time. No round was charged for it.
        """
        self._links = tuple(links)
        for link, far in zip(links, self._far_ends, strict=True):
            self._carriers.append(threading.Thread(target=link.carry, args=(far,), daemon=True))
            self._carriers[-1].start()
        if self._is_cut:
            self.cut()
        deadline = time.monotonic() + begin.setup_seconds
        try:
            for rank, end in enumerate(self._ends, 1):
                told = begin.model_copy(update={"rank": rank})
                write_frame(end.fileno(), message_frame(told), deadline)
                write_stream(end.fileno(), study.canonical(), file_bytes, files(), deadline)
            layers = [self._answer(rank, end.fileno(), deadline) for rank, end in enumerate(self._ends, 1)]
        except UnavailableError as error:
            raise UnavailableError("A machine of this site is gone, or did not prepare the study in time.") from error
        self._layers = layers

    @contextmanager
    def dealt(self, snapshot: CheckedSnapshot, size: DataSize, folder: Path, seconds: float) -> Iterator[int]:
        """The read-only descriptor of the leader's own part of the data; the followers have been sent theirs.

        Alone it is the whole. When the block ends, the followers have loaded theirs.

        Args:
            size: the public numbers of units, of all machines together.
            folder: where the parts may lie, in files without a name.

        Raises:
            UnavailableError: there is no room for them.
        """
        if not self._ends:
            yield snapshot.descriptor
            return
        deadline = time.monotonic() + seconds
        share, dealt = size.share(self.machines), deal(snapshot.layout, self.machines)
        shards = [dealt.shard(machine) for machine in range(self.machines)]
        lengths = [public_bytes(it, share.nominal_training_units, share.nominal_holdout_units) for it in shards]
        with shard_file(folder, lengths[0]) as (own, reader):
            with ExitStack() as stack:
                others = [stack.enter_context(shard_file(folder, length))[0] for length in lengths[1:]]
                _write_parts(snapshot, dealt, [own, *others], lengths)
                with self._expecting_followers():
                    for end, part, length in zip(self._ends, others, lengths[1:], strict=True):
                        pieces = shard_pieces(part, length)
                        write_stream(end.fileno(), Shard().canonical(), length, pieces, deadline)
            cut_shard(own)
            yield reader
        with self._expecting_followers():
            for end in self._ends:
                parse_message(Loaded, read_frame(end.fileno(), maximum_body=0, deadline=deadline))

    def round(self, asked: Round, model_bytes: int, model: Callable[[], Iterable[Piece]], seconds: float) -> None:
        """Let every follower compute `asked`, from the `model` that is called for once a follower."""
        deadline = time.monotonic() + seconds
        with self._expecting_followers():
            for end in self._ends:
                write_stream(end.fileno(), asked.canonical(), model_bytes, model(), deadline)

    def judged(self, error: TrainerFailedError) -> TrainerFailedError:
        """The leader's trainer failed by `error`: the same, but as killed from outside if a follower was lost.

        A follower's trainer that failed by itself did so perhaps because of a record: that ends the study at once. So
        does one that is late though no machine was lost.
        """
        if any(link.failed_there for link in self._links):
            return TrainerFailedError(str(error))
        if any(link.lost for link in self._links):
            return TrainerFailedError(str(error), was_killed=True)
        return error

    def cut(self) -> None:
        """End the followers' trainers, from any thread."""
        self._is_cut = True
        for link in self._links:
            link.cut()

    def close(self) -> None:
        """End the followers' trainers, and let their machines work for other studies."""
        self.cut()
        for end in self._ends:
            end.close()
        for carrier in self._carriers:
            carrier.join()
        for link in self._links:
            link.close()
        for far in self._far_ends:
            far.close()

    def _answer(self, rank: int, end: int, deadline: float) -> tuple[str, ...]:
        """What holds the trainer of one follower, once it has prepared the study."""
        answer = parse_message(Following, read_frame(end, maximum_body=0, deadline=deadline))
        if answer.refusal is not None:
            raise RefusedError(f"Machine {rank} of this site cannot train this study: {answer.refusal}")
        return answer.layers

    @contextmanager
    def _expecting_followers(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            lost = "A machine that trains this study is gone, or did not answer in time; what was charged stays spent."
            raise self.judged(TrainerFailedError(lost, was_late=True)) from error
        except InvalidInputError as error:
            raise TrainerFailedError("A machine that trains this study said something that was not due.") from error


def _write_parts(snapshot: CheckedSnapshot, dealt: Dealt, parts: Sequence[int], lengths: Sequence[int]) -> None:
    """Write every machine's part to its file before any is sent: on its way nobody sees where in it there are people.

    Raises:
        NotAuthenticError: the snapshot was changed meanwhile.
        UnavailableError: the disk did not take them.
    """
    for machine, part in enumerate(parts):
        write_shard(part, np.frombuffer(dealt.shard(machine).header(), np.uint8))
    os.posix_fadvise(snapshot.descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    try:
        for machine, rows in dealt.rows(snapshot.descriptor):
            write_shard(parts[machine], rows)
    except EOFError as error:
        raise NotAuthenticError(f"The snapshot {snapshot.path} was cut off meanwhile; restore it.") from error
    for part, length in zip(parts, lengths, strict=True):
        fill_shard(part, length)
    snapshot.require_unchanged()
