"""Two histories: evidence, signed by a site itself, that it shows different logs to different parties."""

from sqlalchemy import Connection, delete, insert, select, update

from datasites.protocol.identity import IdentityCard
from datasites.store.peers import pinned_card
from datasites.store.tables import sightings, two_histories, witnessed
from policies.errors import InvalidInputError, RefusedError
from policies.log.journal import append
from policies.log.merkle import TreeHead
from policies.log.recovery import LostHead, SignedRecovery
from policies.log.witness import head_of, lost_heads
from policies.log.witness_entries import HistoriesSettled, RecoveryTaken, TwoHistories
from policies.statements.schema import as_text, parse_model
from policies.terms import Terms

_MAXIMUM_RECOVERY_BYTES = 64 * 1024


def accuse(connection: Connection, card: IdentityCard, first: str, second: str, now: int) -> None:
    """Keep and log two checkpoints of one size that the log key on this pinned card signed; once a site."""
    if is_accused(connection, card.party):
        return
    connection.execute(
        insert(two_histories).values(party=card.party, first=first, second=second, noticed_at=now),
    )
    entry = TwoHistories(at=now, site=card.party, log_key=card.log_key or "", first=first, second=second)
    append(connection, entry)


def settle(connection: Connection, card: IdentityCard, reason: str, now: int) -> None:
    """Let studies with the site of this pinned card run again: its owner gave this one an explanation.

    Raises:
        InvalidInputError: no evidence stands against it.
    """
    if not is_accused(connection, card.party):
        raise InvalidInputError(f"«{card.name}» is not known to have two histories; nothing was changed.")
    connection.execute(delete(two_histories).where(two_histories.c.party == card.party))
    append(connection, HistoriesSettled(at=now, site=card.party, reason=as_text(reason)))


def is_accused(connection: Connection, party: str) -> bool:
    """Whether evidence stands against `party`."""
    found = select(two_histories.c.party).where(two_histories.c.party == party)
    return connection.execute(found).one_or_none() is not None


def require_one_history(connection: Connection, terms: Terms) -> None:
    """Raise RefusedError while evidence stands against a site of the cohort: nothing is run with it."""
    found = select(two_histories.c.party).where(two_histories.c.party.in_([it.site for it in terms.cohort]))
    accused = connection.execute(found.order_by(two_histories.c.party).limit(1)).scalar_one_or_none()
    if accused is not None:
        card = pinned_card(connection, accused)
        raise RefusedError(
            f"«{accused if card is None else card.name}» signed two histories of its log, so this site runs nothing "
            "with it: its owner has to recover it if its disk was set back, or to explain it to this site's owner."
        )


def take_recovery(connection: Connection, card: IdentityCard, recovery: SignedRecovery | None, now: int) -> None:
    """Take an owner's signed word that checkpoints were lost: whatever stood against them is settled.

    It is logged here once: what a witness gave up, no owner can have it forget. An older word than the one taken
    before, as a relay may replay it, changes nothing.

    Raises:
        NotAuthenticError: it is not the word of the owner on this pinned card.
    """
    lost = lost_heads(card, recovery)
    if recovery is None or not lost:
        return

    def gave_up(note: str) -> bool:
        return LostHead.of(head_of(card, note)) in lost

    ours, of_it = witnessed.c.party == card.party, sightings.c.party == card.party
    kept = connection.execute(select(witnessed).where(ours)).one_or_none()
    before = None if kept is None or kept.recovery is None else _stored(kept.recovery)
    if before is not None and recovery.recovery.recovered_at < before.recovery.recovered_at:
        return
    if before != recovery:
        append(connection, RecoveryTaken(at=now, site=card.party, owner_key=card.owner_key or "", signed=recovery))
    # With the newest checkpoint all earlier ones may be lost: which of them the log goes on from is not said.
    all_lost = kept is not None and gave_up(kept.checkpoint)
    named = max(it.size for it in lost)
    lost_size = None if kept is None else max(kept.size if all_lost else 0, kept.lost_size or 0, named)
    values = {"recovery": recovery.canonical().decode(), "lost_size": lost_size}
    connection.execute(update(witnessed).where(ours).values(values))
    row = connection.execute(select(two_histories).where(two_histories.c.party == card.party)).one_or_none()
    if row is not None and (all_lost or gave_up(row.first) or gave_up(row.second)):
        connection.execute(delete(two_histories).where(two_histories.c.party == card.party))
    for size, note in connection.execute(select(sightings.c.size, sightings.c.checkpoint).where(of_it)).all():
        if all_lost or gave_up(note):
            connection.execute(delete(sightings).where(of_it, sightings.c.size == size))


def may_be_lost(connection: Connection, card: IdentityCard, head: TreeHead) -> bool:
    """Whether a checkpoint of this site's log is one that its owner gave up, or may belong to that lost history."""
    row = connection.execute(select(witnessed).where(witnessed.c.party == card.party)).one_or_none()
    if row is None or row.recovery is None:
        return False
    return LostHead.of(head) in lost_heads(card, _stored(row.recovery)) or head.size <= row.lost_size


def _stored(text: str) -> SignedRecovery:
    maximum, what = _MAXIMUM_RECOVERY_BYTES, "A stored recovery"
    return parse_model(SignedRecovery, text.encode(), maximum_bytes=maximum, what=what)
