"""The witness's rule, the same for sites and researchers: what is kept of a log is given up only for what continues it.

It is the rule of c2sp.org/tlog-witness; beside it, only the owner's signed word that a log was set back counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.errors import NotAuthenticError, RefusedError
from policies.identity_card import IdentityCard
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.cosignature import checked_lines
from policies.log.merkle import TreeHead, verify_consistency
from policies.log.recovery import LostHead, SignedRecovery, verify_recovery


@dataclass(frozen=True)
class Shown:
    """A checkpoint that a site shows of its log, with a proof (hexadecimal nodes) from the one of `proof_from` entries.

    `lost` are the checkpoints that its owner signed away, because the log was set back.
    """

    head: TreeHead
    proof_from: int
    proof: Sequence[str]
    lost: frozenset[LostHead]

    def follows(self, kept: TreeHead) -> bool:
        """Whether the log, as shown, continues the checkpoint `kept`, or its owner gave that one up."""
        if LostHead.of(kept) in self.lost:
            return True
        if self.head.size == kept.size:
            return self.head == kept
        if self.proof_from != kept.size:
            return False
        try:
            verify_consistency(kept, self.head, [bytes.fromhex(node) for node in self.proof])
        except NotAuthenticError:
            return False
        return True


def head_of(card: IdentityCard, note: str) -> TreeHead:
    """The tree head of a checkpoint of the log of the site with this pinned card.

    Raises:
        RefusedError: the card is not a datasite's.
        InvalidInputError, NotAuthenticError: the note is no checkpoint of its log.
    """
    if card.log_key is None:
        raise RefusedError("Only a datasite has a log to be witnessed.")
    return open_checkpoint(note.encode(), log_origin(card.party), bytes.fromhex(card.log_key)).head


def own_note(card: IdentityCard, note: str) -> str:
    """A checkpoint that `head_of` believed, with the log's own signature and no other line."""
    return checked_lines(note.encode(), bytes.fromhex(card.log_key or "")).decode()


def lost_heads(card: IdentityCard, recovery: SignedRecovery | None) -> frozenset[LostHead]:
    """What the owner of the site with this pinned card gave up.

    Raises:
        NotAuthenticError: the recovery is not its owner's word on this site.
    """
    if recovery is None or card.owner_key is None:
        return frozenset()
    return frozenset(verify_recovery(recovery, bytes.fromhex(card.owner_key), card.party).lost)


def is_fork(first: TreeHead, second: TreeHead) -> bool:
    """Whether two signed heads prove by themselves that their log has two histories: one size, two roots."""
    return first.size == second.size and first.root != second.root
