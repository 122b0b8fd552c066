"""Answers of witnesses, handed to a datasite directly: what it asks is taken from its outbox."""

from sqlalchemy import delete, select

from datasites.execution.release_round import release_witnessed
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import parse_message
from datasites.site import Site
from datasites.store.tables import outbox
from datasites.witnesses.hear import hear_witness


def take_questions(site: Site) -> list[tuple[str, WitnessRequest]]:
    """What a site asks its witnesses, taken from its outbox."""
    taken = []
    with site.engine.begin() as connection:
        for row in connection.execute(select(outbox).order_by(outbox.c.id)).all():
            message = parse_message(row.message.encode())
            if isinstance(message, WitnessRequest):
                taken.append((row.recipient, message))
                connection.execute(delete(outbox).where(outbox.c.id == row.id))
    return taken


def hear(site: Site, witness: str, reply: WitnessReply, now: int) -> bool:
    """Let a site act on a witness's answer, as its service does."""
    with site.engine.begin() as connection:
        confirmed = hear_witness(connection, site, witness, reply, now)
        release_witnessed(connection, site, now)
    return confirmed


def confirm(site: Site, now: int) -> None:
    """Let every witness confirm what it is asked, until nothing more is."""
    while asked := take_questions(site):
        for party, message in asked:
            reply = WitnessReply(nonce=message.nonce, checkpoint=message.checkpoint, balance=message.balance)
            hear(site, party, reply, now)
