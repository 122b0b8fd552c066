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
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datasites.catalog.shards import deal, public_bytes, shard_file, write_shard
from datasites.catalog.snapshot import CheckedSnapshot
from datasites.execution.follower_messages import Begin, Following, Shard
from datasites.execution.sealed_link import SealedLink
from datasites.execution.trainer_messages import DataSize, Loaded, Prepare, Round, message_frame, parse_message
from datasites.execution.trainer_result import TrainerFailedError
from datasites.execution.trainer_start import Place
from datasites.sandbox.frames import Piece, read_frame, write_frame, write_from, write_header, write_stream
from policies.errors import InvalidInputError, NotAuthenticError, RefusedError, UnavailableError

_ZEROS = memoryview(bytes(2**20))


class Team:
    """The leader's trainer and so many machines less one; alone it has nothing to do.

    Every method raises `TrainerFailedError` if a follower is gone, late, or says something that is not due. It counts
    as killed from outside unless a follower said that its trainer failed by itself: that may have been for a record.
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
        self._layers: list[tuple[str, ...]] = []

    @property
    def machines(self) -> int:
        """How many there are with the leader's."""
        return self.place.count

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
        """
        self._links = tuple(links)
        for link, far in zip(links, self._far_ends, strict=True):
            self._carriers.append(threading.Thread(target=link.carry, args=(far,), daemon=True))
            self._carriers[-1].start()
        if self._is_cut:
            self.cut()
        deadline = time.monotonic() + begin.setup_seconds
        with self._expecting_followers():
            for rank, end in enumerate(self._ends, 1):
                told = begin.model_copy(update={"rank": rank})
                write_frame(end.fileno(), message_frame(told), deadline)
                write_stream(end.fileno(), study.canonical(), file_bytes, files(), deadline)
            for rank, end in enumerate(self._ends, 1):
                answer = parse_message(Following, read_frame(end.fileno(), maximum_body=0, deadline=deadline))
                if answer.refusal is not None:
                    raise RefusedError(f"Machine {rank} of this site cannot train this study: {answer.refusal}")
                self._layers.append(answer.layers)

    @contextmanager
    def dealt(self, snapshot: CheckedSnapshot, size: DataSize, folder: Path, seconds: float) -> Iterator[int]:
        """The read-only descriptor of the leader's own part of the data; the followers have been sent theirs.

        Alone it is the whole. When the block ends, the followers have loaded theirs.

        Args:
            size: the public numbers of units, of all machines together.
            folder: where a part may lie, in a file without a name.
        """
        if not self._ends:
            yield snapshot.descriptor
            return
        deadline = time.monotonic() + seconds
        with shard_file(folder) as (writer, reader):
            try:
                self._deal(snapshot, size.share(self.machines), writer, deadline)
            except EOFError as error:
                raise NotAuthenticError(f"The snapshot {snapshot.path} was cut off meanwhile; restore it.") from error
            snapshot.require_unchanged()
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
        """The leader's trainer failed by `error`: the same, but as killed from outside if a follower was lost or late.

        A follower's trainer that failed by itself did so perhaps because of a record: that ends the study at once.
        """
        if any(link.failed_there for link in self._links):
            return TrainerFailedError(str(error))
        if self._ends and (error.was_late or any(link.lost for link in self._links)):
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

    def _deal(self, snapshot: CheckedSnapshot, share: DataSize, own: int, deadline: float) -> None:
        dealt = deal(snapshot.layout, self.machines)
        shards = [dealt.shard(machine) for machine in range(self.machines)]
        write_shard(own, np.frombuffer(shards[0].header(), np.uint8))
        with self._expecting_followers():
            lengths = [public_bytes(it, share.nominal_training_units, share.nominal_holdout_units) for it in shards]
            for end, shard, length in zip(self._ends, shards[1:], lengths[1:], strict=True):
                header = Shard(file_bytes=shard.file_bytes).canonical()
                write_header(end.fileno(), header, length, deadline)
                write_from(end.fileno(), shard.header(), deadline)
            os.posix_fadvise(snapshot.descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            for machine, rows in dealt.rows(snapshot.descriptor):
                if machine == 0:
                    write_shard(own, rows)
                else:
                    write_from(self._ends[machine - 1].fileno(), rows.reshape(-1).data, deadline)
            for end, shard, length in zip(self._ends, shards[1:], lengths[1:], strict=True):
                for left in range(length - shard.file_bytes, 0, -len(_ZEROS)):
                    write_from(end.fileno(), _ZEROS[:left], deadline)

    @contextmanager
    def _expecting_followers(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            lost = "A machine that trains this study is gone, or did not answer in time; what was charged stays spent."
            raise self.judged(TrainerFailedError(lost, was_late=True)) from error
        except InvalidInputError as error:
            raise TrainerFailedError("A machine that trains this study said something that was not due.") from error
