"""The processes that train one site's model together: each has its own units, one of them adds the noise for all.

Every worker samples its own units and sums their clipped gradients. The leader adds the sums up in the order of the
workers, adds the step's one noise, takes the step and hands on the change. Every unit is with one worker only, so a
step is what one process with all units would take: a Poisson sample of disjoint parts is one of the whole. Nobody else
ever steps, so a worker that is lost ends the training, and no step can lack its noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from datasites.sandbox.frames import read_header, read_into, write_stream
from policies.errors import InvalidInputError


class Workers(Protocol):
    """One worker's view of all of them: how many there are, and whether it is the one that noises and steps."""

    @property
    def count(self) -> int: ...

    @property
    def leads(self) -> bool: ...

    def collect(self, sums: Sequence[Tensor]) -> None:
        """Make the leader's `sums`, float64 in place, those over all workers."""

    def follow(self, values: Sequence[Tensor]) -> None:
        """Make everybody's `values`, float64 in place, the leader's."""


class Alone:
    """The only worker."""

    count = 1
    leads = True

    def collect(self, sums: Sequence[Tensor]) -> None:
        """Its sums are those of all."""

    def follow(self, values: Sequence[Tensor]) -> None:
        """It follows nobody."""


ALONE = Alone()


@dataclass(frozen=True)
class Leader:
    """The worker that every other one is linked to: `links` are open stream descriptors, in the order of the workers.

    Both methods raise `UnavailableError` if a worker is gone, and `InvalidInputError` if one says something else.
    """

    links: tuple[int, ...]
    leads = True

    @property
    def count(self) -> int:
        """This one, and one behind each link."""
        return 1 + len(self.links)

    def collect(self, sums: Sequence[Tensor]) -> None:
        """Add what every other worker sends, one after the other: so rounding is the same every time."""
        for link in self.links:
            for own, other in zip(sums, _receive(link, sums), strict=True):
                if not other.isfinite().all():
                    raise InvalidInputError("A worker sent sums that are no numbers; clipped ones always are.")
                own += other

    def follow(self, values: Sequence[Tensor]) -> None:
        """Send the values to every other worker."""
        for link in self.links:
            _send(link, values)


@dataclass(frozen=True)
class Follower:
    """A worker that is linked to the leader alone; its methods raise what those of `Leader` do."""

    link: int
    count: int
    leads = False

    def collect(self, sums: Sequence[Tensor]) -> None:
        """Send the sums to the leader; here they stay what they were."""
        _send(self.link, sums)

    def follow(self, values: Sequence[Tensor]) -> None:
        """Take the leader's values."""
        for own, other in zip(values, _receive(self.link, values), strict=True):
            own.copy_(other)


def workers_of(rank: int, count: int, links: tuple[int, ...]) -> Workers:
    """Worker number `rank` (0 leads) of `count`: the leader has a link to each other one, and those have one to it.

    Raises:
        InvalidInputError: there are more or fewer links than that.
    """
    if len(links) != (count - 1 if rank == 0 else 1) or not 0 <= rank < count:
        raise InvalidInputError(f"Worker {rank} of {count} has {len(links)} links; it needs one to each it works with.")
    if count == 1:
        return ALONE
    return Leader(links) if rank == 0 else Follower(links[0], count)


def _send(link: int, tensors: Sequence[Tensor]) -> None:
    contents = [tensor.detach().contiguous().numpy().reshape(-1).view(np.uint8).data for tensor in tensors]
    write_stream(link, b"", sum(map(len, contents)), contents)


def _receive(link: int, like: Sequence[Tensor]) -> list[Tensor]:
    received = [tensor.new_empty(tensor.shape) for tensor in like]
    buffers = [tensor.numpy().reshape(-1).view(np.uint8).data for tensor in received]
    size = sum(map(len, buffers))
    _, announced = read_header(link, maximum_body=size)
    if announced != size:
        raise InvalidInputError("A worker sent another number of values than this study has; all must train the same.")
    for buffer in buffers:
        read_into(link, buffer)
    return received
