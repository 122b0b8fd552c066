"""Checks a bundle's entries against its signed checkpoint, against earlier ones, and those that witnesses cosigned."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from policies.errors import CloisterError, NotAuthenticError
from policies.log import merkle
from policies.log.bundle import Bundle
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.cosignature import Cosigner, cosigned_at, count_others, date_of
from policies.log.recovery import LostHead


@dataclass(frozen=True)
class TreeCheck:
    """A bundle's entries as a tree, under the log key (raw, 32 bytes) that is believed; its owner gave `lost` up."""

    bundle: Bundle
    leaves: Sequence[bytes]
    log_key: bytes
    lost: Set[LostHead]

    def broken(self, earlier: Sequence[bytes], cosigners: Sequence[Cosigner]) -> list[str]:
        """What does not hold: of the bundle's own checkpoint, of `earlier` notes, and of its cosigned ones."""
        found = []
        try:
            self._check_own()
        except CloisterError as error:
            found.append(str(error))
        for number, note in enumerate(earlier, start=1):
            try:
                self._check_continued(note, cosigners)
            except CloisterError as error:
                found.append(f"Earlier checkpoint {number}: {error}")
        for number, text in enumerate(self.bundle.header.cosigned, start=1):
            try:
                self._check_continued(text.encode(), cosigners)
            except CloisterError as error:
                found.append(f"Cosigned checkpoint {number} of the bundle: {error}")
        return found

    def witnessed(self, cosigner: Cosigner) -> str | None:
        """What the cosigned checkpoints show of one witness, once `broken` found nothing; None if it cosigned none."""
        newest: tuple[int, int] | None = None
        for text in self.bundle.header.cosigned:
            at = cosigned_at(text.encode(), cosigner.key)
            head = self._head(text.encode())
            if at is not None and LostHead.of(head) not in self.lost:
                newest = max(newest or (0, 0), (head.size, at))
        if newest is None:
            return None
        size, at = newest
        return (
            f"«{cosigner.name}» cosigned a checkpoint of {size} of these {len(self.leaves)} entries on "
            f"{date_of(at)} by its clock, and these entries continue it."
        )

    def unknown_cosignatures(self, cosigners: Sequence[Cosigner]) -> int:
        """How many cosignatures in the bundle are by nobody of `cosigners`."""
        notes = [text.encode() for text in self.bundle.header.cosigned]
        known = sum(cosigned_at(note, it.key) is not None for note in notes for it in cosigners)
        return sum(count_others(note, self.log_key) for note in notes) - known

    def _head(self, note: bytes) -> merkle.TreeHead:
        return open_checkpoint(note, log_origin(self.bundle.header.site.site), self.log_key).head

    def _check_own(self) -> None:
        head = self._head(self.bundle.header.checkpoint.encode())
        if head.size != len(self.leaves):
            raise NotAuthenticError(
                f"The signed checkpoint covers {head.size} entries and the bundle holds {len(self.leaves)}: "
                "entries were taken away or added after signing."
            )
        if head != merkle.tree_head(self.leaves):
            raise NotAuthenticError("The entries do not hash to the signed root: some were changed, moved or replaced.")

    def _check_continued(self, note: bytes, cosigners: Sequence[Cosigner]) -> None:
        head = self._head(note)
        names = [it.name for it in cosigners if cosigned_at(note, it.key) is not None]
        if LostHead.of(head) in self.lost:
            return
        if head.size > len(self.leaves):
            raise NotAuthenticError(
                f"It covers {head.size} entries and the bundle holds {len(self.leaves)}: the log was cut back, or two "
                f"histories were shown. {self._both(head, names)}"
            )
        if merkle.tree_head(self.leaves[: head.size]) != head:
            raise NotAuthenticError(
                f"Its {head.size} entries are not the bundle's first ones: history was rewritten, or two were shown. "
                f"{self._both(head, names)}"
            )

    def _both(self, head: merkle.TreeHead, names: Sequence[str]) -> str:
        own = merkle.tree_head(self.leaves)
        who = f", which {' and '.join(f'«{name}»' for name in names)} cosigned," if names else ""
        return (
            f"The log key signed both: one of {head.size} entries with root {head.root.hex()[:16]}…{who} and the "
            f"bundle's of {own.size} with root {own.root.hex()[:16]}…"
        )
