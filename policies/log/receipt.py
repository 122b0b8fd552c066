"""Receipts: some entries of a site's log with proofs that they stand in it, under one signed checkpoint."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.log.bundle import SiteFacts
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES, log_origin, open_checkpoint
from policies.log.entries import MAXIMUM_ENTRY_BYTES, LogEntry, parse_entry
from policies.log.merkle import inclusion_proof, leaf_hash, verify_inclusion
from policies.statements.schema import Digest, StrictModel

MAXIMUM_RECEIPT_BYTES = 8 * 1024 * 1024


class ProvedEntry(StrictModel):
    """One entry's canonical bytes, its place from 0, and the nodes that lead from it to the checkpoint's root."""

    position: Annotated[int, Field(ge=0, le=2**53 - 1)]
    entry: Annotated[str, StringConstraints(min_length=2, max_length=MAXIMUM_ENTRY_BYTES)]
    proof: Annotated[tuple[Digest, ...], Field(max_length=64)]


class Receipt(StrictModel):
    """What a site hands out of its log; the checkpoint may carry witnesses' cosignatures."""

    version: Literal["cloister-receipt/1"]
    site: SiteFacts
    checkpoint: Annotated[str, StringConstraints(max_length=MAXIMUM_CHECKPOINT_BYTES)]
    entries: Annotated[tuple[ProvedEntry, ...], Field(max_length=1000)]


def make_receipt(
    site: SiteFacts, checkpoint: bytes, leaf_hashes: Sequence[bytes], entries: Iterable[tuple[int, bytes]]
) -> Receipt:
    """Prove `entries` (positions and canonical bytes) under the checkpoint whose tree has exactly `leaf_hashes`."""
    proved = tuple(
        ProvedEntry(
            position=position,
            entry=data.decode(),
            proof=tuple(node.hex() for node in inclusion_proof(leaf_hashes, position)),
        )
        for position, data in entries
    )
    return Receipt(version="cloister-receipt/1", site=site, checkpoint=checkpoint.decode(), entries=proved)


def open_receipt(receipt: Receipt, log_key: bytes) -> list[LogEntry]:
    """The entries in their order, once each is shown to stand in the checkpoint's log; `log_key` is raw, 32 bytes.

    Raises:
        InvalidInputError: an entry or the checkpoint is none.
        NotAuthenticError: the checkpoint is not by the log key, or an entry is not in its tree.
    """
    head = open_checkpoint(receipt.checkpoint.encode(), log_origin(receipt.site.site), log_key).head
    found = []
    for it in sorted(receipt.entries, key=lambda entry: entry.position):
        data = it.entry.encode()
        verify_inclusion(leaf_hash(data), it.position, head, [bytes.fromhex(node) for node in it.proof])
        found.append(parse_entry(data))
    return found
