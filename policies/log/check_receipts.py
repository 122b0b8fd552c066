"""Checks receipts offline: that a site's update went into one opened sum, and which approvals a model came from."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.log.accounts import require
from policies.log.checkpoint import parse_checkpoint
from policies.log.cosignature import Cosigner, cosigned_at, date_of
from policies.log.entries import DecisionTaken, LogEntry, RequestReceived, RoundComputed, UpdateReleased
from policies.log.proved_approval import ProvedApproval, proved_approval
from policies.log.receipt import Receipt, open_receipt
from policies.log.replay import Break
from policies.log.rules_entries import ApprovedByRules
from policies.log.verify import Pinned, Report
from policies.log.witness_entries import SumOpened
from policies.masked_vector import verify_vector
from policies.statements.schema import Digest, StrictModel
from policies.sums import OpenedSum, SignedSum, require_summand, verify_sum
from policies.terms import Terms

MAXIMUM_RESULT_RECEIPT_BYTES = 512 * 1024 * 1024
_Kind = TypeVar("_Kind", bound=LogEntry)


class ResultReceipt(StrictModel):
    """A researcher's proof: the terms, its own word on each opened sum, and what each site's log says of them."""

    version: Literal["cloister-result-receipt/1"]
    terms: Terms
    sums: Annotated[tuple[SignedSum, ...], Field(min_length=1, max_length=10_001)]
    parts: Annotated[tuple[Receipt, ...], Field(max_length=20_000)]


def check_round_receipt(receipt: Receipt, pinned: Pinned) -> Report:
    """Check a site's own receipt on one round with whatever keys and cards the auditor holds."""
    missing = [
        "That no other sum holds this site's update: its whole log shows that, as it holds one sum a round at most.",
        "That the sum was computed rightly: its digest is the researcher's word.",
        *_unknown_keys(pinned),
    ]
    try:
        entries = open_receipt(receipt, pinned.log_key or bytes.fromhex(receipt.site.log_key))
        proved, others = _round_story(receipt, entries, pinned)
        proved = [*_standing(receipt, pinned.witnesses), *proved]
    except CloisterError as error:
        return Report([], missing, [Break(None, str(error))])
    return Report(proved, [*missing, *others], [])


def _round_story(receipt: Receipt, entries: Sequence[LogEntry], pinned: Pinned) -> tuple[list[str], list[str]]:
    terms = _only(entries, RequestReceived).terms
    approval = _approval(receipt, entries, terms, pinned.owner_key)
    signed = _only(entries, SumOpened).signed
    opened = verify_sum(signed, terms)
    answer = _answer(entries, terms, opened.round)
    key = bytes.fromhex(receipt.site.signing_key)
    require_summand(opened, terms, receipt.site.site, key, answer.round_context)
    seen, unseen = _partners(opened, receipt.site.site, pinned.witnesses)
    proved = [
        f"{approval.by} at «{receipt.site.name}» approved the request {terms.digest()[:16]}… on "
        f"{date_of(approval.at)}.",
        f"Its one answer to round {opened.round} was computed and handed to the researcher.",
        f"The researcher signed that the sum of round {opened.round} was opened from {len(opened.summands)} vectors: "
        "each site of the cohort once, this one's as the site signed it for that round.",
        *seen,
    ]
    return proved, unseen


def _partners(opened: OpenedSum, own: str, cosigners: Sequence[Cosigner]) -> tuple[list[str], list[str]]:
    cards = {it.card.party: it.card for it in cosigners if it.card is not None}
    seen, unseen = list[str](), list[str]()
    for it in opened.summands:
        card = cards.get(it.site)
        if it.site == own:
            continue
        if card is None:
            unseen.append(f"That site {it.site[:16]}… signed the vector that the sum names as its own: give its card.")
            continue
        key, signature = bytes.fromhex(card.signing_key), bytes.fromhex(it.signature)
        verify_vector(key, signature, it.site, bytes.fromhex(opened.round_context), it.vector_digest)
        seen.append(f"«{card.name}» signed the vector that the sum names as its own.")
    return seen, unseen


def check_result_receipt(result: ResultReceipt, witnesses: Sequence[Cosigner]) -> Report:
    """Check a researcher's receipt on a model; a site whose card is among `witnesses` is believed under its keys."""
    cards = {it.card.party: it.card for it in witnesses if it.card is not None}
    terms, proved, broken = result.terms, list[str](), list[Break]()
    missing = [
        "That the parameters handed over with this receipt are what the last sum gives: compare their digest.",
        "That no approval was taken back later, that as many persons approved as the house rules asked for, and where "
        "these approved, that the study is like the one that people had approved: each site's whole log shows that.",
        "That each round started from what the one before gave: the researcher makes the global model of the sums.",
    ]
    models: dict[int, set[Digest]] = {}
    try:
        sums = {it.opened.round: verify_sum(it, terms) for it in result.sums}
        require(sorted(sums) == list(range(1, len(result.sums) + 1)), "the rounds are not all there, each once")
    except CloisterError as error:
        return Report([], missing, [Break(None, str(error))])
    for member in terms.cohort:
        card = cards.get(member.site)
        if card is None:
            missing.append(f"That the keys named for site {member.site[:16]}… are its own: give its card.")
        pinned = Pinned(
            log_key=None if card is None else bytes.fromhex(card.log_key or ""),
            owner_key=None if card is None else bytes.fromhex(card.owner_key or ""),
            witnesses=witnesses,
        )
        try:
            parts = [it for it in result.parts if it.site.site == member.site]
            proved += _site_story(parts, terms, sums, pinned, models)
        except CloisterError as error:
            broken.append(Break(None, f"Site {member.site[:16]}…: {error}"))
    broken += [
        Break(None, f"Round {number}: the sites did not start from one global model.")
        for number, digests in sorted(models.items())
        if len(digests) > 1
    ]
    if not broken:
        proved.append(
            f"The model of {len(sums)} of {terms.sums} rounds came from exactly these {len(terms.cohort)} approvals: "
            "each round is one sum over one answer of each site, and started at all sites from one global model; the "
            f"last one from the model with digest {next(iter(models[len(sums)]))}."
        )
    return Report(proved, missing, broken)


def _site_story(
    parts: Sequence[Receipt],
    terms: Terms,
    sums: dict[int, OpenedSum],
    pinned: Pinned,
    models: dict[int, set[Digest]],
) -> list[str]:
    require(bool(parts), "the receipt holds nothing of its log")
    left, proved = dict(sums), list[str]()
    for part in parts:
        entries = open_receipt(part, pinned.log_key or bytes.fromhex(part.site.log_key))
        approval = _approval(part, entries, terms, pinned.owner_key)
        for number in {it.round for it in entries if isinstance(it, RoundComputed)} & left.keys():
            answer = _answer(entries, terms, number)
            key = bytes.fromhex(part.site.signing_key)
            require_summand(left.pop(number), terms, part.site.site, key, answer.round_context)
            models.setdefault(number, set()).add(answer.model)
        proved = [
            f"{approval.by} at «{part.site.name}» approved exactly these terms at {date_of(approval.at)}.",
            *_standing(part, pinned.witnesses),
        ]
    require(not left, f"its log shows no answer to round {min(left, default=0)}")
    return proved


def _approval(receipt: Receipt, entries: Sequence[LogEntry], terms: Terms, owner_key: bytes | None) -> ProvedApproval:
    approval = proved_approval(entries, receipt.site.site, terms, owner_key or bytes.fromhex(receipt.site.owner_key))
    computed = (place for place, it in enumerate(entries) if isinstance(it, RoundComputed))
    late = any(isinstance(it, DecisionTaken | ApprovedByRules) for it in entries[next(computed, len(entries)) :])
    require(not late, "the approval stands in the log after the round that it should have allowed")
    return approval


def _answer(entries: Sequence[LogEntry], terms: Terms, number: int) -> RoundComputed:
    request = terms.digest()
    computed = [it for it in entries if isinstance(it, RoundComputed) and (it.request, it.round) == (request, number)]
    released = [it for it in entries if isinstance(it, UpdateReleased) and (it.request, it.round) == (request, number)]
    if len(computed) != 1 or len(released) != 1:
        raise RefusedError(f"round {number} was not computed and released once")
    same = computed[0].output_commitment == released[0].output_commitment
    require(same, f"what was released for round {number} is not what was computed")
    require(released[0].recipient == terms.researcher, f"round {number} was released to another party")
    return computed[0]


def _only(entries: Sequence[LogEntry], kind: type[_Kind]) -> _Kind:
    found = [it for it in entries if isinstance(it, kind)]
    if len(found) != 1:
        raise NotAuthenticError(
            f"The receipt holds {len(found)} entries of the kind {kind.__name__}; it must hold one."
        )
    return found[0]


def _standing(receipt: Receipt, witnesses: Sequence[Cosigner]) -> list[str]:
    note = receipt.checkpoint.encode()
    size = parse_checkpoint(note)[0].head.size
    times = [(it.name, cosigned_at(note, it.key)) for it in witnesses]
    who = "".join(f", which «{name}» cosigned on {date_of(at)}" for name, at in times if at is not None)
    return [f"Its log of {size} entries{who}, holds the entries given here."]


def _unknown_keys(pinned: Pinned) -> list[str]:
    known = pinned.log_key is not None and pinned.owner_key is not None
    return (
        [] if known else ["That the keys named are this site's and its owner's: compare them with its identity card."]
    )
