"""Set up a run: publish single-use mask keys, then accept one roster of the whole cohort and no other."""

from sqlalchemy import Connection, delete, func, insert, select, update

from datasites.execution.approval import require_approval
from datasites.protocol.messages import AdvertisementMessage, Roster, SetupStart
from datasites.requests.records import Request
from datasites.secure_averaging.advertisement import Advertisement, create, verify_roster
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.peers import pinned_cards
from datasites.store.tables import mask_keys, rounds, runs
from datasites.witnesses.ask import ask_again
from datasites.witnesses.cohort import witnesses_of
from datasites.witnesses.hear import require_not_set_back, unconfirmed
from policies.errors import ConflictError, RefusedError
from policies.statements.canonical import canonical_bytes, parse_json
from policies.statements.schema import parse_model

_MAXIMUM_BYTES = 16 << 20


def start_run(connection: Connection, site: Site, sender: str, message: SetupStart, now: int) -> None:
    """Make this site's mask keys for `message.run` and advertise them; the same run asked again gets the same answer.

    Raises:
        RefusedError: the study is not approved here, or another run of it has computed a round already.
    """
    require_not_set_back(connection)
    request, _ = require_approval(connection, site, sender, message.study, now)
    if message.terms_digest != request.digest:
        raise RefusedError("The run is for other terms than the ones approved here.")
    row = connection.execute(select(runs).where(runs.c.request == request.digest)).one_or_none()
    if row is not None and row.run == message.run:
        advertisement = _advertisement(row.advertisement)
    else:
        if row is not None:
            _forget_unused_run(connection, request)
        advertisement, private_keys = create(
            site.identity.signing, site.identity.party, request.digest, message.run, request.terms.sums
        )
        connection.execute(
            insert(runs).values(
                request=request.digest, run=message.run, advertisement=advertisement.canonical().decode()
            )
        )
        connection.execute(
            insert(mask_keys),
            [
                {"request": request.digest, "round": number, "private_key": key}
                for number, key in enumerate(private_keys, start=1)
            ],
        )
    answer = AdvertisementMessage(study=message.study, run=message.run, advertisement=advertisement)
    enqueue(connection, sender, answer, now)
    ask_again(connection, site, unconfirmed(connection, witnesses_of(request.terms, site.identity.party)), now)


def accept_roster(connection: Connection, site: Site, sender: str, message: Roster, now: int) -> str:
    """Check the coordinator's roster against the pinned identities and keep it for all rounds; returns the request.

    Raises:
        RefusedError: the roster is not exactly the cohort of the terms, each with keys signed by its pinned identity.
        ConflictError: another roster was accepted for this run before.
    """
    request, _ = require_approval(connection, site, sender, message.study, now)
    row = connection.execute(
        select(runs).where(runs.c.request == request.digest, runs.c.run == message.run)
    ).one_or_none()
    if row is None:
        raise RefusedError("This run was not set up here; start it first.")
    sites = {card.party: card for card in pinned_cards(connection) if card.role == "datasite"}
    sites[site.identity.party] = site.identity.card
    verify_roster(
        list(message.advertisements),
        request.terms,
        message.run,
        site.identity.party,
        _advertisement(row.advertisement),
        {party: bytes.fromhex(card.signing_key) for party, card in sites.items()},
    )
    roster = canonical_bytes([it.model_dump(mode="json") for it in message.advertisements]).decode()
    if row.roster not in (None, roster):
        raise ConflictError("Another roster was accepted for this run before; one run has one roster.")
    connection.execute(update(runs).where(runs.c.request == request.digest).values(roster=roster))
    return request.digest


def stored_roster(roster: str) -> list[Advertisement]:
    """The advertisements of a roster that was accepted."""
    entries = parse_json(roster.encode(), maximum_bytes=_MAXIMUM_BYTES, what="A stored roster")
    return [_advertisement(canonical_bytes(entry).decode()) for entry in entries]


def _advertisement(text: str) -> Advertisement:
    return parse_model(Advertisement, text.encode(), maximum_bytes=_MAXIMUM_BYTES, what="A stored advertisement")


def _forget_unused_run(connection: Connection, request: Request) -> None:
    used = connection.execute(select(func.count()).where(rounds.c.request == request.digest)).scalar_one()
    if used:
        raise RefusedError("Another run of this study has begun its rounds here; resume that run.")
    connection.execute(delete(mask_keys).where(mask_keys.c.request == request.digest))
    connection.execute(delete(runs).where(runs.c.request == request.digest))
