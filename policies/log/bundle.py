"""The exported log: one file of lines, first a header, then every entry's exact canonical bytes, one a line.

Canonical JSON never holds a newline, so a line is the very bytes that the tree hashes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.errors import InvalidInputError
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES
from policies.statements.digests import party_of
from policies.statements.schema import PartyName, PublicKey, StrictModel, parse_model

MAXIMUM_BUNDLE_BYTES = 512 * 1024 * 1024
MOST_COSIGNED = 500
_MAXIMUM_HEADER_BYTES = 2 * MAXIMUM_CHECKPOINT_BYTES + MOST_COSIGNED * 1200


class SiteFacts(StrictModel):
    """Whose log it is: what the identity card says of the site's keys."""

    name: PartyName
    signing_key: PublicKey
    log_key: PublicKey
    owner_key: PublicKey

    @property
    def site(self) -> str:
        """The site's party id, which its signing key determines."""
        return party_of(bytes.fromhex(self.signing_key))


class BundleHeader(StrictModel):
    """The first line: the site's facts and the signed checkpoint over the entries that follow.

    `cosigned` are checkpoints of these entries, or of the first of them, that witnesses cosigned: each one's newest.
    """

    version: Literal["cloister-log-bundle/1"]
    site: SiteFacts
    checkpoint: Annotated[str, StringConstraints(max_length=MAXIMUM_CHECKPOINT_BYTES)]
    cosigned: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=1000)], ...], Field(max_length=MOST_COSIGNED)
    ] = ()


@dataclass(frozen=True)
class Bundle:
    """A bundle taken apart; no signature, hash or entry is believed yet."""

    header: BundleHeader
    entries: tuple[bytes, ...]


def write_bundle(site: SiteFacts, checkpoint: bytes, entries: Iterable[bytes], cosigned: Sequence[bytes] = ()) -> bytes:
    """Put a site's facts, its checkpoint note, cosigned ones and its entries' canonical bytes into one file."""
    header = BundleHeader(
        version="cloister-log-bundle/1",
        site=site,
        checkpoint=checkpoint.decode(),
        cosigned=tuple(note.decode() for note in cosigned),
    )
    return b"".join(line + b"\n" for line in (header.canonical(), *entries))


def read_bundle(data: bytes) -> Bundle:
    """Take an untrusted bundle apart.

    Raises:
        InvalidInputError: too large, no valid header, or a line is empty or unfinished.
    """
    if len(data) > MAXIMUM_BUNDLE_BYTES:
        raise InvalidInputError(f"The bundle has {len(data)} bytes; at most {MAXIMUM_BUNDLE_BYTES} are accepted.")
    lines = data.split(b"\n")
    if lines.pop():
        raise InvalidInputError("The bundle does not end with a newline: it was cut off, or it is not a log bundle.")
    if not lines or not all(lines):
        raise InvalidInputError("The bundle is empty or holds an empty line; every line must be a record.")
    header = parse_model(BundleHeader, lines[0], maximum_bytes=_MAXIMUM_HEADER_BYTES, what="The bundle's first line")
    return Bundle(header, tuple(lines[1:]))
