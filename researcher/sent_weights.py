"""Which parts of parameter files each site keeps already, as far as this researcher has heard from it."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from datasites.protocol.weight_messages import LEAST_KEPT_BYTES, PART_DOMAIN, ParameterPart, WeightsWanted
from policies.statements.digests import digest
from researcher.cohort import in_cohort

INCOMPLETE = "incomplete"
"""The status of a study at a site that does not keep all that was not sent to it."""

_LACKING = "It does not keep all of the study's weights; they are sent with the next «wait»."
_NOT_TAKEN = ("refused", "failed")


@dataclass(frozen=True)
class Part:
    """A range of a parameter file."""

    digest: str
    content: memoryview

    @property
    def is_kept(self) -> bool:
        """Whether a site that takes the study keeps it for the next one."""
        return len(self.content) >= LEAST_KEPT_BYTES

    def listed(self, *, sent: bool) -> ParameterPart:
        """What a submission says of it."""
        return ParameterPart(digest=self.digest, size=len(self.content), sent=sent)


def split_parameters(file: bytes) -> list[Part]:
    """Cut our own safetensors file so that each large tensor is a part of its own, wherever it stands in other files.

    The format: https://github.com/huggingface/safetensors#format.
    """
    start = 8 + int.from_bytes(file[:8], "little")
    tensors = json.loads(file[8:start])
    ranges = sorted(entry["data_offsets"] for name, entry in tensors.items() if name != "__metadata__")
    large = [it for it in ranges if it[1] - it[0] >= LEAST_KEPT_BYTES]
    cuts = sorted({0, len(file), *(start + end for both in large for end in both)})
    view = memoryview(file)
    pieces = [view[begin:end] for begin, end in pairwise(cuts)]
    return [Part(digest(PART_DOMAIN, bytes(piece)), piece) for piece in pieces]


def known_to_keep(connection: sqlite3.Connection, site: str) -> frozenset[str]:
    """The parts that the site said to keep, by taking the study that they were sent with."""
    rows = connection.execute("SELECT part FROM weights WHERE site = ? AND kept", (site,)).fetchall()
    return frozenset(row["part"] for row in rows)


def sites_that_lack(connection: sqlite3.Connection, study: str) -> list[str]:
    """The sites that wait for weights of the study."""
    rows = connection.execute("SELECT site FROM statuses WHERE study = ? AND status = ?", (study, INCOMPLETE))
    return [row["site"] for row in rows.fetchall()]


def note_sending(connection: sqlite3.Connection, sites: Iterable[str], study: str, parts: Sequence[Part]) -> None:
    """Write down what goes to each of `sites` with a study; before it does, so that an answer finds it."""
    for site in sites:
        connection.executemany(
            "INSERT OR REPLACE INTO weights (site, part, study) VALUES (?, ?, ?)",
            [(site, part.digest, study) for part in parts if part.is_kept],
        )


def note_sent(connection: sqlite3.Connection, sites: Iterable[str], study: str) -> None:
    """Write down that `sites` do not wait for weights of the study any more; after they were sent, or none would be."""
    connection.executemany(
        "DELETE FROM statuses WHERE site = ? AND study = ? AND status = ?",
        [(site, study, INCOMPLETE) for site in sites],
    )


def note_taken(connection: sqlite3.Connection, site: str, study: str, status: str) -> None:
    """Conclude from where a study stands that the site keeps what it was sent with it."""
    if status not in _NOT_TAKEN:
        connection.execute("UPDATE weights SET kept = 1 WHERE site = ? AND study = ?", (site, study))


def note_wanted(connection: sqlite3.Connection, site: str, message: WeightsWanted) -> None:
    """Write down that a site of a study's cohort keeps none of these parts, and waits for the study with them."""
    if not in_cohort(connection, message.study, site):
        return
    connection.executemany("DELETE FROM weights WHERE site = ? AND part = ?", [(site, part) for part in message.parts])
    connection.execute(
        "INSERT INTO statuses (study, site, status, detail) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (study, site) DO UPDATE SET status = excluded.status, detail = excluded.detail",
        (message.study, site, INCOMPLETE, _LACKING),
    )
