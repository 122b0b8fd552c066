"""Attacks on P5: receipts with a wrong proof, of another log or round, or with parts that do not belong together."""

from collections.abc import Callable, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from policies.decision import sign_decision
from policies.identity_card import IdentityCard, parse_card
from policies.log import entries as log
from policies.log.bundle import SiteFacts
from policies.log.check_any import check_any
from policies.log.check_receipts import ResultReceipt, check_result_receipt, check_round_receipt
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import Cosigner, cosign
from policies.log.merkle import leaf_hash, tree_head
from policies.log.receipt import Receipt, make_receipt
from policies.log.verify import Pinned
from policies.log.witness_entries import SumOpened
from policies.statements.canonical import canonical_bytes
from policies.statements.signed import sign
from tests.attacks.honest_log import (
    APPROVED,
    DECISION,
    FACTS,
    LOG,
    OWNER,
    PARTNER,
    RECEIVED,
    SITE,
    STRANGER,
    TERMS,
    Entries,
    changed,
    computed,
    note,
    released,
)
from tests.attacks.honest_sum import HONEST_WITH_SUM, OPENED_SUM, SUM_OPENED, opened, summand

PARTNERS_LOG = Ed25519PrivateKey.generate()
PARTNERS_FACTS = SiteFacts(
    name="Bern",
    signing_key=PARTNER.public_key().public_bytes_raw().hex(),
    log_key=PARTNERS_LOG.public_key().public_bytes_raw().hex(),
    owner_key=STRANGER.public_key().public_bytes_raw().hex(),
)
PARTNERS_DECISION = DECISION.model_copy(update={"site": PARTNERS_FACTS.site, "data_set": "admissions"})
PARTNERS_APPROVAL = log.DecisionTaken(at=101, signed=sign_decision(STRANGER, PARTNERS_DECISION))
ROUND: tuple[log.LogEntry, ...] = (RECEIVED, APPROVED, computed(1), released(1), SUM_OPENED)
KEYS = Pinned(LOG.public_key().public_bytes_raw(), OWNER.public_key().public_bytes_raw())


def card_of(facts: SiteFacts, key: Ed25519PrivateKey) -> IdentityCard:
    fields = {
        "version": "cloister-card/1",
        "name": facts.name,
        "role": "datasite",
        "signing_key": facts.signing_key,
        "sealing_key": X25519PrivateKey.generate().public_key().public_bytes_raw().hex(),
        "log_key": facts.log_key,
        "owner_key": facts.owner_key,
    }
    signature = sign(key, "card", canonical_bytes(fields)).hex()
    return parse_card(canonical_bytes({**fields, "signature": signature}))


CARDS = (Cosigner.of(card_of(FACTS, SITE)), Cosigner.of(card_of(PARTNERS_FACTS, PARTNER)))


def receipt(
    shown: Sequence[log.LogEntry] = ROUND, whole: Entries = HONEST_WITH_SUM, checkpoint: bytes | None = None
) -> Receipt:
    data = [entry.canonical() for entry in whole]
    places = [(whole.index(entry), entry.canonical()) for entry in shown]
    return make_receipt(FACTS, checkpoint or note(whole), [leaf_hash(it) for it in data], places)


def test_an_honest_receipt_proves_its_round_and_names_who_cosigned() -> None:
    cosigned = cosign(PARTNERS_LOG, PARTNERS_FACTS.site, note(HONEST_WITH_SUM), 1_700_000_000)
    report = check_round_receipt(receipt(checkpoint=cosigned), Pinned(KEYS.log_key, KEYS.owner_key, (), CARDS))
    assert report.broken == []
    for part in (
        "which «Bern» cosigned on 2023-11-14",
        "each site of the cohort once",
        "«Bern» signed the vector that the sum names as its own",
    ):
        assert any(part in sentence for sentence in report.proved), part
    assert not any("its card" in sentence for sentence in report.not_proved)


def test_without_cards_it_says_what_it_does_not_prove() -> None:
    report = check_any(receipt().canonical(), Pinned())
    assert report.broken == []
    for part in ("give its card", "keys named", "no other sum"):
        assert any(part in sentence for sentence in report.not_proved), part


def in_another_log() -> Receipt:
    """Everything is in order, but the entries stand in a log that a stranger signed."""
    return receipt(checkpoint=note(HONEST_WITH_SUM, STRANGER))


def of_another_site() -> Receipt:
    head = tree_head([leaf_hash(it.canonical()) for it in HONEST_WITH_SUM])
    return receipt(checkpoint=sign_checkpoint(LOG, Checkpoint(log_origin("99" * 32), head)))


def with_a_sum_that_is_not_logged() -> Receipt:
    honest = receipt()
    false = opened(total="00" * 32).canonical().decode()
    entries = (*honest.entries[:-1], honest.entries[-1].model_copy(update={"entry": false}))
    return honest.model_copy(update={"entries": entries})


def swapped_places() -> Receipt:
    honest = receipt()
    first, second, *rest = honest.entries
    places = (
        first.model_copy(update={"position": second.position}),
        second.model_copy(update={"position": first.position}),
    )
    return honest.model_copy(update={"entries": (*places, *rest)})


def without_a_node() -> Receipt:
    honest = receipt()
    cut = honest.entries[0].model_copy(update={"proof": honest.entries[0].proof[:-1]})
    return honest.model_copy(update={"entries": (cut, *honest.entries[1:])})


def logged(*entries: log.LogEntry) -> Receipt:
    """A dishonest site logs, signs and proves these instead."""
    return receipt(entries, [*HONEST_WITH_SUM, *(it for it in entries if it not in HONEST_WITH_SUM)])


DENIED = log.DecisionTaken(at=400, signed=sign_decision(OWNER, DECISION.model_copy(update={"verdict": "deny"})))
FORGED_APPROVAL = log.DecisionTaken(at=101, signed=sign_decision(STRANGER, DECISION))
LEFT_OUT = opened(summands=(summand(STRANGER, "11" * 32), OPENED_SUM.summands[1]))

FALSE: dict[str, tuple[Callable[[], Receipt], str]] = {
    "in another log": (in_another_log, "0 signatures"),
    "of another site's log": (of_another_site, "another log"),
    "of a sum that is not in the log": (with_a_sum_that_is_not_logged, "does not lead to the root"),
    "of entries at other places": (swapped_places, "inclusion proof"),
    "with a proof cut short": (without_a_node, "inclusion proof"),
    "on an answer of another round": (lambda: logged(RECEIVED, APPROVED, computed(2), released(2), SUM_OPENED), "once"),
    "without a release": (lambda: logged(RECEIVED, APPROVED, computed(1), SUM_OPENED), "computed and released once"),
    "without a sum": (lambda: logged(RECEIVED, APPROVED, computed(1), released(1)), "0 entries of the kind SumOpened"),
    "with two sums": (lambda: logged(*ROUND, opened(total="00" * 32)), "2 entries of the kind SumOpened"),
    "of what was denied at last": (lambda: logged(*ROUND, DENIED), "no approval"),
    "of what was approved after its round": (
        lambda: logged(RECEIVED, changed(APPROVED, at=400), computed(1), released(1), SUM_OPENED),
        "after the round",
    ),
    "of what a stranger approved": (
        lambda: logged(RECEIVED, FORGED_APPROVAL, computed(1), released(1), SUM_OPENED),
        "neither the owner's nor appointed by the owner",
    ),
    "of a sum without this site": (
        lambda: logged(RECEIVED, APPROVED, computed(1), released(1), LEFT_OUT),
        "exactly once",
    ),
    "of a sum signed by a stranger": (
        lambda: logged(RECEIVED, APPROVED, computed(1), released(1), opened(key=STRANGER)),
        "another party than the researcher",
    ),
    "of an answer in another context": (
        lambda: logged(RECEIVED, APPROVED, changed(computed(1), round_context="ab" * 32), released(1), SUM_OPENED),
        "another run, roster or global model",
    ),
}


@pytest.mark.parametrize("attack", FALSE)
def test_no_receipt(attack: str) -> None:
    make, reason = FALSE[attack]
    report = check_round_receipt(make(), KEYS)
    assert report.proved == []
    assert [reason in it.reason for it in report.broken] == [True], report.broken


def partners_receipt(model: str = "dd" * 32, approval: log.LogEntry = PARTNERS_APPROVAL) -> Receipt:
    entries: Entries = [approval, changed(computed(1), model=model), released(1)]
    leaves = [leaf_hash(it.canonical()) for it in entries]
    signed = sign_checkpoint(PARTNERS_LOG, Checkpoint(log_origin(PARTNERS_FACTS.site), tree_head(leaves)))
    return make_receipt(PARTNERS_FACTS, signed, leaves, list(enumerate(it.canonical() for it in entries)))


def result(*parts: Receipt, sums: tuple[SumOpened, ...] = (SUM_OPENED,)) -> ResultReceipt:
    own = receipt((APPROVED, computed(1), released(1)))
    return ResultReceipt(
        version="cloister-result-receipt/1",
        terms=TERMS,
        sums=tuple(it.signed for it in sums),
        parts=parts or (own, partners_receipt()),
    )


def test_an_honest_result_receipt_names_every_approval() -> None:
    report = check_any(result().canonical(), Pinned(witnesses=CARDS))
    assert report.broken == []
    for part in ("«Klinikum Süd» approved exactly these terms", "«Bern» approved exactly", "exactly these 2 approvals"):
        assert any(part in sentence for sentence in report.proved), part
    assert sum("give its card" in sentence for sentence in check_result_receipt(result(), ()).not_proved) == 2


OWN_PART = receipt((APPROVED, computed(1), released(1)))
ELSEWHERE = log.DecisionTaken(at=101, signed=sign_decision(STRANGER, DECISION))
FALSE_RESULTS: dict[str, tuple[Callable[[], ResultReceipt], str]] = {
    "leaves a site out": (lambda: result(OWN_PART), "holds nothing of its log"),
    "names an approval by another's owner": (
        lambda: result(
            OWN_PART,
            partners_receipt(approval=log.DecisionTaken(at=101, signed=sign_decision(OWNER, PARTNERS_DECISION))),
        ),
        "neither the owner's nor appointed by the owner",
    ),
    "uses one site's approval for another": (
        lambda: result(
            OWN_PART, partners_receipt(approval=log.DecisionTaken(at=101, signed=sign_decision(STRANGER, DECISION)))
        ),
        "no approval of these terms at this site",
    ),
    "started from two global models": (lambda: result(OWN_PART, partners_receipt(model="ee" * 32)), "one global model"),
    "has no round that a sum opened": (
        lambda: result(receipt((APPROVED,)), partners_receipt()),
        "no answer to round 1",
    ),
    "has a sum that leaves a site out": (lambda: result(sums=(LEFT_OUT,)), "exactly once"),
    "has a sum by a stranger": (lambda: result(sums=(opened(key=STRANGER),)), "another party than the researcher"),
    "begins with the second round": (lambda: result(sums=(opened(round=2),)), "not all there"),
}


@pytest.mark.parametrize("attack", FALSE_RESULTS)
def test_a_model_is_not_from_these_approvals_if_its_receipt(attack: str) -> None:
    make, reason = FALSE_RESULTS[attack]
    report = check_result_receipt(make(), CARDS)
    assert any(reason in it.reason for it in report.broken), report.broken
    assert not any("came from exactly" in sentence for sentence in report.proved)
