"""Set up a run: publish single-use mask keys, then accept one roster of the whole cohort and no other."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, delete, func, insert, select, update

from datasites.execution.approval import require_approval
from datasites.protocol.messages import AdvertisementMessage, Roster, SetupStart
from datasites.requests.records import Request
from datasites.secure_averaging.advertisement import Advertisement, create, verify_roster
from datasites.site import Site
from datasites.store.outbox import enqueue, is_waiting
from datasites.store.peers import pinned_cards
from datasites.store.tables import mask_keys, rounds, runs
from datasites.witnesses.ask import ask_again
from datasites.witnesses.cohort import witnesses_of
from datasites.witnesses.hear import require_not_set_back, unconfirmed
from datasites.witnesses.histories import require_one_history
from policies.errors import CloisterError, ConflictError, NotAuthenticError, RefusedError
from policies.statements.canonical import canonical_bytes, parse_json
from policies.statements.schema import parse_model
from policies.terms import Terms

_MAXIMUM_BYTES = 16 << 20


def start_run(connection: Connection, site: Site, sender: str, message: SetupStart, now: int) -> None:
    """Make this site's mask keys for `message.run` and advertise them; the same run asked again gets the same answer.

    Raises:
        RefusedError: the study is not approved here, or another run of it has computed a round already.
    """
    require_not_set_back(connection)
    request, _ = require_approval(connection, site, sender, message.study, now)
    require_one_history(connection, request.terms)
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
    if not is_waiting(connection, sender, answer):
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
    _verify(connection, site, request, message.run, list(message.advertisements), row.advertisement)
    roster = canonical_bytes([it.model_dump(mode="json") for it in message.advertisements]).decode()
    if row.roster not in (None, roster):
        raise ConflictError("Another roster was accepted for this run before; one run has one roster.")
    connection.execute(update(runs).where(runs.c.request == request.digest).values(roster=roster))
    return request.digest


def require_roster(connection: Connection, site: Site, request: Request, run: str) -> None:
    """Check the stored roster of `run` again: keys that somebody put there would be masked with all the same.

    Raises:
        NotAuthenticError: it is not one that `accept_roster` would take now.
    """
    row = connection.execute(select(runs).where(runs.c.request == request.digest, runs.c.run == run)).one_or_none()
    if row is None or row.roster is None:
        raise NotAuthenticError("The run's roster is not stored any more; nothing was run.")
    try:
        _verify(connection, site, request, run, stored_roster(row.roster), row.advertisement)
    except CloisterError as error:
        raise NotAuthenticError(f"The stored roster does not hold any more, so nothing was run: {error}") from error


@lru_cache(maxsize=16)
def stored_roster(roster: str) -> tuple[Advertisement, ...]:
    """The advertisements of a roster that was accepted."""
    entries = parse_json(roster.encode(), maximum_bytes=_MAXIMUM_BYTES, what="A stored roster")
    return tuple(_advertisement(canonical_bytes(entry).decode()) for entry in entries)


def _verify(
    connection: Connection, site: Site, request: Request, run: str, roster: Sequence[Advertisement], own: str
) -> None:
    sites = {card.party: card.signing_key for card in pinned_cards(connection) if card.role == "datasite"}
    sites[site.identity.party] = site.identity.card.signing_key
    _verify_once(tuple(roster), request.terms, run, site.identity.party, own, tuple(sorted(sites.items())))


@lru_cache(maxsize=64)
def _verify_once(
    roster: tuple[Advertisement, ...], terms: Terms, run: str, site: str, own: str, keys: tuple[tuple[str, str], ...]
) -> None:
    # It is checked again before each charge, and only what differs from all that held before costs time.
    signing_keys = {party: bytes.fromhex(key) for party, key in keys}
    verify_roster(roster, terms, run, site, _advertisement(own), signing_keys)


def _advertisement(text: str) -> Advertisement:
    return parse_model(Advertisement, text.encode(), maximum_bytes=_MAXIMUM_BYTES, what="A stored advertisement")


def _forget_unused_run(connection: Connection, request: Request) -> None:
    used = connection.execute(select(func.count()).where(rounds.c.request == request.digest)).scalar_one()
    if used:
        raise RefusedError("Another run of this study has begun its rounds here; resume that run.")
    connection.execute(delete(mask_keys).where(mask_keys.c.request == request.digest))
    connection.execute(delete(runs).where(runs.c.request == request.digest))
