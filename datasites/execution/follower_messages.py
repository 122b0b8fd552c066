"""What the leader of a site's machines and a follower say to each other beside what trainers are told anyway.

For a study the leader says `Begin` and the trainer's `Prepare`, answered by `Following`; then `Shard`, answered by
`Loaded`; then `Round` after `Round`, which the trainers answer among themselves.
"""

from typing import Annotated, Literal

from pydantic import Field

from datasites.catalog.snapshot_layout import HEADER_BYTES
from policies.jobs.endings import Layers
from policies.rules.house_rules import MOST_MACHINES
from policies.statements.schema import StrictModel, Text

MAXIMUM_SHARD_BYTES = 2**50


class Begin(StrictModel):
    """Start a trainer: as which of `count` workers, and what it may use and how long it may take, as the leader's.

    `shard_bytes` is how long a part of the data is made, a public number: there must be room for it.
    """

    type: Literal["begin"] = "begin"
    rank: Annotated[int, Field(ge=1, lt=MOST_MACHINES)]
    count: Annotated[int, Field(ge=2, le=MOST_MACHINES)]
    threads: Annotated[int, Field(ge=1, le=256)]
    memory_bytes: Annotated[int, Field(ge=2**30, le=2**44)]
    shard_bytes: Annotated[int, Field(ge=HEADER_BYTES, le=MAXIMUM_SHARD_BYTES)]
    setup_seconds: Annotated[int, Field(ge=1, le=604_800)]
    round_seconds: Annotated[int, Field(ge=1, le=604_800)]


class Following(StrictModel):
    """The study is prepared by a trainer that these layers hold, or why it is not; no data was there yet."""

    type: Literal["following"] = "following"
    layers: Layers
    refusal: Text | None


class Shard(StrictModel):
    """The body is this machine's part of the data, filled up to a public length: its own header says how long it is."""

    type: Literal["shard"] = "shard"
