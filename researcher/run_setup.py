"""Set up a run as its coordinator: gather every site's mask keys, and give all of them the same roster."""

import json
import secrets
from collections.abc import Sequence

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import AdvertisementMessage, Message, Roster, RoundRefused, SetupStart
from datasites.secure_averaging.advertisement import Advertisement, check_roster
from policies.errors import RefusedError, UnavailableError
from policies.statements.canonical import canonical_bytes
from policies.terms import Terms
from researcher.correspondence import Correspondence, Received


def set_up_run(
    correspondence: Correspondence, terms: Terms, cohort: Sequence[IdentityCard]
) -> tuple[list[Advertisement], str]:
    """The run's roster and name; one that was set up before is taken up again, and its roster sent once more.

    Raises:
        RefusedError: a site refused; with its reason. The next attempt will be a run of its own.
        UnavailableError: a site did not answer before the terms' deadline; it is named.
        NotAuthenticError: an advertisement is not by the site that is pinned.
    """
    row = correspondence.state.study(terms.study)
    run = row["run"] or _begin(correspondence, terms)
    if row["roster"] is None:
        roster = _gather(correspondence, terms, cohort, run)
        stored = canonical_bytes([entry.model_dump(mode="json") for entry in roster]).decode()
        correspondence.state.update_study(terms.study, run=run, roster=stored)
    else:
        roster = [Advertisement.model_validate_json(json.dumps(entry)) for entry in json.loads(row["roster"])]
    message = Roster(study=terms.study, run=run, advertisements=tuple(roster))
    correspondence.send([card.party for card in cohort], message, terms.deadlines.setup_seconds)
    return roster, run


def _begin(correspondence: Correspondence, terms: Terms) -> str:
    run = secrets.token_hex(16)
    correspondence.state.update_study(terms.study, run=run)
    return run


def _gather(
    correspondence: Correspondence, terms: Terms, cohort: Sequence[IdentityCard], run: str
) -> list[Advertisement]:
    seconds = terms.deadlines.setup_seconds
    start = SetupStart(study=terms.study, run=run, terms_digest=terms.digest())
    correspondence.send([card.party for card in cohort], start, seconds)

    def concerns(_card: IdentityCard, message: Message) -> bool:
        expected = (terms.study, run)
        return isinstance(message, AdvertisementMessage | RoundRefused) and (message.study, message.run) == expected

    answers = correspondence.collect(
        concerns,
        lambda taken: len(_by_site(taken)) == len(cohort) or len(_by_site(taken)) < len(taken),
        seconds,
    )
    for card, message in answers:
        if isinstance(message, RoundRefused):
            # Late answers to this attempt must never be taken for answers to the next.
            correspondence.state.update_study(terms.study, run=None)
            raise RefusedError(f"{card.name} refused to set up the run: {message.reason}")
    found = _by_site(answers)
    missing = [card.name for card in cohort if card.party not in found]
    if missing:
        raise UnavailableError(
            f"{', '.join(missing)} did not set up the run within {seconds} s; run the study again when they are back."
        )
    roster = [found[card.party] for card in cohort]
    check_roster(roster, terms, run, {card.party: bytes.fromhex(card.signing_key) for card in cohort})
    return roster


def _by_site(taken: list[Received]) -> dict[str, Advertisement]:
    return {card.party: message.advertisement for card, message in taken if isinstance(message, AdvertisementMessage)}
