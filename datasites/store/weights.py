"""Weights that a site keeps for the researcher who sent them: parts of the parameter files of earlier studies.

They lie where they came, in the studies' own files, each under its newest study's. A file stays as long as a row here
refers to it; an open study refers to its own, so that dropping rows harms none. Each researcher is told of its own rows
only, and another's rows never make room for them: nobody learns what others have sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from datasites.protocol.weight_messages import LEAST_KEPT_BYTES, ParameterPart
from datasites.store.put import put
from datasites.store.tables import peers, weights

_KEPT_SECONDS = 90 * 86_400
_MOST_BYTES_OF_A_RESEARCHER = 1 << 30
_MOST_BYTES = 8 << 30


@dataclass(frozen=True)
class KeptPart:
    """Where a part lies: a range of a content file, in bytes."""

    digest: str
    file: str
    start: int
    size: int


def kept_parts(connection: Connection, sender: str, parts: Sequence[ParameterPart]) -> dict[str, KeptPart]:
    """By their digests, those of `parts` that are kept for `sender`."""
    sizes = {part.digest: part.size for part in parts}
    found = connection.execute(select(weights).where(weights.c.sender == sender)).all()
    return {it.part: KeptPart(it.part, it.file, it.start, it.size) for it in found if sizes.get(it.part) == it.size}


def keep_parts(connection: Connection, sender: str, file: str, parts: Sequence[ParameterPart], now: int) -> None:
    """Keep for `sender` the large parts of the parameter file of a study that came; the oldest make room for them."""
    start, whole = 0, sum(part.size for part in parts)
    for part in parts:
        if part.size >= LEAST_KEPT_BYTES:
            place = {"file": file, "file_bytes": whole, "start": start, "size": part.size, "used_at": now}
            put(connection, weights, {"sender": sender, "part": part.digest}, place)
        start += part.size
    drop_weights(connection, now)


def drop_weights(connection: Connection, now: int) -> None:
    """Drop what was not used for 90 days, and of each researcher what was not used longest where it is too much.

    A researcher's share depends on how many of them the owner has pinned, never on what others have sent.
    """
    researchers = connection.execute(select(func.count()).where(peers.c.role == "researcher")).scalar_one()
    share = min(_MOST_BYTES_OF_A_RESEARCHER, _MOST_BYTES // max(1, researchers))
    newest = func.max(weights.c.used_at)
    files = (
        select(weights.c.sender, weights.c.file, func.max(weights.c.file_bytes), newest)
        .group_by(weights.c.sender, weights.c.file)
        .order_by(newest.desc(), weights.c.file)
    )
    kept: dict[str, int] = {}
    for sender, file, size, used_at in connection.execute(files).all():
        kept[sender] = kept.get(sender, 0) + size
        if kept[sender] > share or used_at + _KEPT_SECONDS <= now:
            connection.execute(delete(weights).where(weights.c.sender == sender, weights.c.file == file))
