"""Letters on logs: from sites that are witnessed here, from witnesses, and from researchers who prove what they got."""

from sqlalchemy import Connection

from datasites.execution.charge_round import next_round
from datasites.execution.interrupted_rounds import refuse_waiting_rounds
from datasites.execution.release_round import release_witnessed
from datasites.protocol.identity import IdentityCard
from datasites.protocol.log_messages import (
    LogMessageToSite,
    ProofRequest,
    SumOpenedMessage,
    WitnessReply,
    WitnessRequest,
)
from datasites.requests.prove import prove_study
from datasites.requests.sums import take_sum
from datasites.serving.effect import Effect
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.witnesses.gossip import compare
from datasites.witnesses.hear import SET_BACK, hear_witness, is_set_back
from datasites.witnesses.keep import keep_checkpoint


def act_on_log_letter(
    connection: Connection, site: Site, sender: IdentityCard, message: LogMessageToSite, now: int
) -> Effect:
    """Act on such a letter in the caller's transaction; what it raises refuses the letter."""
    match message:
        case SumOpenedMessage():
            take_sum(connection, site, sender.party, message, now)
        case ProofRequest():
            prove_study(connection, site, sender.party, message, now)
        case WitnessRequest():
            compare(connection, site.identity.party, message.seen, now)
            keep_checkpoint(connection, site.identity, sender, message, now)
        case WitnessReply():
            return _hear(connection, site, sender, message, now)
    return Effect(small_mail=True)


def _hear(connection: Connection, site: Site, sender: IdentityCard, message: WitnessReply, now: int) -> Effect:
    if not hear_witness(connection, site, sender.party, message, now):
        report(f"«{sender.name}» does not confirm this site's log; rounds of studies it witnesses wait.")
    if is_set_back(connection):
        report(SET_BACK)
        refuse_waiting_rounds(connection, SET_BACK, now)
        return Effect(small_mail=True)
    if release_witnessed(connection, site, now):
        return Effect(small_mail=True, large_mail=True, work=True)
    # What waited for this answer may be charged now, or another question has to be sent.
    return Effect(small_mail=True, work=next_round(connection, site) is not None)
