"""Lives of what others show a datasite of logs: cosignatures, opened sums, two histories, a set-back; and new data."""

from collections.abc import Callable

from sqlalchemy import select

from datasites.catalog.registration import register_data_set
from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import SumOpenedMessage, WitnessReply, WitnessRequest
from datasites.protocol.messages import parse_message
from datasites.requests.records import Status
from datasites.store.tables import outbox
from datasites.witnesses.balances import seal_balances
from datasites.witnesses.hear import is_set_back
from datasites.witnesses.histories import is_accused, settle
from datasites.witnesses.recover import recover
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import cosign
from policies.log.entries import DataSetRegistered
from policies.log.merkle import TreeHead
from policies.log.set_back_entries import LogRecovered
from policies.log.witness_entries import HistoriesSettled, SumOpened, TwoHistories
from tests.attacks.opened_sum import opened_sum
from tests.crashes.lives import (
    APPROVED,
    CHECKED,
    RUNNING,
    SUBMITTED,
    WORKED,
    Life,
    Step,
    ends_as,
    letter,
    logged,
    request_of,
    unless,
)
from tests.one_site import Scene
from tests.one_study import STUDY
from tests.site_folder import LIFETIME_EPSILON, write_manifest, write_table

LOST = TreeHead(1000, bytes.fromhex("ee" * 32))
"""Of this site's log, on a disk that is not there any more."""


def _bern(scene: Scene) -> Identity:
    return scene.partners[0]


def _cadiz(scene: Scene) -> Identity:
    return scene.partners[1]


def _question(scene: Scene, witness: Identity) -> WitnessRequest:
    """The newest to this witness."""
    to_it = select(outbox.c.message).where(outbox.c.recipient == witness.party).order_by(outbox.c.id)
    with scene.site.engine.begin() as connection:
        messages = [parse_message(it.encode()) for it in connection.execute(to_it).scalars()]
    return [it for it in messages if isinstance(it, WitnessRequest)][-1]


def _cosigns(witness: Callable[[Scene], Identity]) -> Callable[[Scene], WitnessReply]:
    def reply(scene: Scene) -> WitnessReply:
        own = witness(scene)
        asked = _question(scene, own)
        note = cosign(own.cosigning, own.party, asked.checkpoint.encode(), scene.now).decode()
        return WitnessReply(nonce=asked.nonce, checkpoint=note, balance=asked.balance)

    return reply


def _note(site: Identity, head: TreeHead) -> str:
    assert site.log is not None
    return sign_checkpoint(site.log, Checkpoint(log_origin(site.party), head)).decode()


def _holds_more(scene: Scene) -> WitnessReply:
    """Bern keeps what this disk has forgotten."""
    site, asked = scene.site, _question(scene, _bern(scene))
    with site.engine.begin() as connection:
        balance = seal_balances(connection, site.catalog_keys.balance, site.identity.party, LOST)
    return WitnessReply(nonce=asked.nonce, checkpoint=_note(site.identity, LOST), balance=balance)


def _asks(witness: Callable[[Scene], Identity], root: str, *seen: str) -> Callable[[Scene], WitnessRequest]:
    """A partner wants its own log witnessed, and shows what it keeps of Bern's, each by its root."""

    def request(scene: Scene) -> WitnessRequest:
        return WitnessRequest(
            nonce="0f" * 16,
            checkpoint=_note(witness(scene), TreeHead(7, bytes.fromhex(root * 32))),
            proof_from=0,
            proof=(),
            balance="ab" * 40,
            recovery=None,
            seen=tuple(_note(_bern(scene), TreeHead(7, bytes.fromhex(it * 32))) for it in seen),
        )

    return request


def _is_set_back(scene: Scene) -> bool:
    with scene.site.engine.begin() as connection:
        return is_set_back(connection)


def _recover(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        recover(connection, scene.site, scene.owner_key, scene.now)


def _bern_is_accused(scene: Scene) -> bool:
    with scene.site.engine.begin() as connection:
        return is_accused(connection, _bern(scene).party)


def _settle(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        settle(connection, _bern(scene).card, "Its disk was exchanged.", scene.now)


def _register(scene: Scene) -> None:
    folder = scene.site.home.folder.parent
    table, manifest = folder / "more.csv", folder / "more.toml"
    register_data_set(scene.site, write_manifest(manifest, "clinic-b"), write_table(table, first=500), LIFETIME_EPSILON)


def _sum_of(scene: Scene) -> SumOpenedMessage:
    (answer,) = scene.updates()
    return SumOpenedMessage(study=STUDY, signed=opened_sum(scene, request_of(scene), answer))


BERN_COSIGNS = letter("bern's word", _cosigns(_bern), _bern, anew=True)
CADIZ_COSIGNS = letter("cadiz's word", _cosigns(_cadiz), _cadiz, anew=True)
SUM_TOLD = letter("sum", _sum_of)
BERN_ASKS = letter("bern's log", _asks(_bern, "aa"), _bern)
CADIZ_SHOWS = letter("another log of bern's", _asks(_cadiz, "cc", "bb"), _cadiz)
SETTLED = Step("settle", unless(lambda scene: not _bern_is_accused(scene), _settle))
SET_BACK = letter("what was lost", _holds_more, _bern, anew=True)
RECOVERED = Step("recover", unless(lambda scene: not _is_set_back(scene), _recover))
REGISTERED = Step("register", unless(lambda scene: scene.count("data_sets") == 2, _register))


def _cosigned(scene: Scene) -> None:
    ends_as(Status.DONE, 1)(scene)
    assert scene.count("cosignatures") == 2


def _sum_is_logged(scene: Scene) -> None:
    ends_as(Status.DONE, 1)(scene)
    assert len(logged(scene, SumOpened)) == scene.count("sums") == 1


def _settled(scene: Scene) -> None:
    assert len(logged(scene, TwoHistories)) == len(logged(scene, HistoriesSettled)) == 1
    assert scene.count("two_histories") == 0


def _recovered(scene: Scene) -> None:
    ends_as(Status.FAILED)(scene)
    assert len(logged(scene, LogRecovered)) == scene.count("recoveries") == 1
    decision = request_of(scene).decision
    assert decision is not None
    spent = scene.balance()
    approved = decision.decision.training_units, decision.decision.evaluation_units
    assert (spent.training.spent_units, spent.evaluation.spent_units) == approved


def _registered(scene: Scene) -> None:
    assert len(logged(scene, DataSetRegistered)) == scene.count("data_sets") == 2
    assert len(list(scene.site.home.snapshots.glob("*.snapshot"))) == 2


LOG_LIVES = (
    Life("cosigned", (*RUNNING, BERN_COSIGNS, CADIZ_COSIGNS, WORKED), _cosigned, 6, watched_until=8),
    Life("sum opened", (*RUNNING, WORKED, SUM_TOLD), _sum_is_logged, 7),
    Life("two histories", (SUBMITTED, CHECKED, APPROVED, BERN_ASKS, CADIZ_SHOWS, SETTLED), _settled, 3),
    Life("recovered", (*RUNNING, SET_BACK, RECOVERED), _recovered, 6),
    Life("registered", (REGISTERED,), _registered),
)
