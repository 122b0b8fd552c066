"""How an execution ended, as coarsely as its researcher may know before the owner releases anything."""

import math
from typing import Annotated, Literal

from pydantic import Field

Ending = Literal[
    "finished", "failed", "timed-out", "out-of-memory", "too-much-output", "killed", "cancelled", "interrupted"
]
"""`interrupted`: the datasite stopped in the middle; what was computed is lost."""

Layer = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""One wall of the sandbox that held, such as `seccomp`."""

Layers = Annotated[tuple[Layer, ...], Field(max_length=32)]
"""All walls that held one process."""

_SHORTEST_MILLISECONDS = 100.0
_GROWTH = 1.25


def told_milliseconds(elapsed: float) -> int:
    """A duration in milliseconds as it is told: rounded up to 100 ms × 1.25ⁿ.

    Code can choose how long it runs, and so say something by it. How long it took, and how long after its approval that
    is told, each take one of 63 values in the first day: together less than twelve bits an execution.
    """
    steps = math.ceil(math.log(max(elapsed, _SHORTEST_MILLISECONDS) / _SHORTEST_MILLISECONDS, _GROWTH) - 1e-9)
    return math.ceil(_SHORTEST_MILLISECONDS * _GROWTH**steps)
