"""How long an auditor waits: `python -m tests.benchmarks.bench_log`, an exported log of 10,000 entries on one core.

Many studies of some rounds, with their reviews, approvals, charges, answers, releases and opened sums, as a site that
is busy for years has them. Making the log is not measured.
"""

import json
import sys
import time
from statistics import median

from policies.log import merkle
from policies.log.bundle import write_bundle
from policies.log.cosignature import Cosigner, cosign
from policies.log.entries import LogEntry, RequestClosed
from policies.log.review_entries import RequestReviewed
from policies.log.verify import Pinned, verify_bundle
from policies.log.witness_entries import SumOpened
from policies.sums import sign_sum
from tests.attacks import honest_log as honest
from tests.attacks.honest_sum import OPENED_SUM, OWN_VECTOR, PARTNERS_VECTOR, summand

ENTRIES = 10_000
ROUNDS = 3
REPEATS = 3
_EPSILON = 100.0


def busy_log(entries: int) -> list[LogEntry]:
    """At least `entries` entries: one study of three rounds after another, until there are enough."""
    order = honest.filter_order(_EPSILON, 1e-6)
    population = honest.changed(
        honest.POPULATION,
        epsilon=_EPSILON,
        filter_order=order,
        allowance_units=honest.allowance_units(_EPSILON, 1e-6, order),
    )
    made: list[LogEntry] = [honest.OPENED, honest.PINNED, population, honest.REGISTERED]
    number = 0
    while len(made) < entries:
        made += _study(number, order)
        number += 1
    return made


def _study(number: int, order: int) -> list[LogEntry]:
    terms = honest.TERMS.model_copy(
        update={
            "study": f"{number:032x}",
            "training": honest.TERMS.training.model_copy(update={"noise_multiplier": 100.0}),
            "evaluation": honest.TERMS.evaluation.model_copy(update={"models": ()}),
        }
    )
    mechanism = honest.TRAINING.model_copy(update={"noise_multiplier": 100.0})
    units = honest.cost_units(honest.GaussianMechanism(**mechanism.model_dump()), order)
    request = terms.digest()
    approved = {"request": request, "training_units": ROUNDS * units, "evaluation_units": 0}
    entries: list[LogEntry] = [
        honest.changed(honest.RECEIVED, request=request, terms=terms),
        RequestReviewed(at=95, request=request, findings="0a" * 32),
        honest.approval(**approved),
        honest.changed(honest.RESERVED, **approved),
    ]
    for place in range(1, ROUNDS + 1):
        context = f"{number * ROUNDS + place:064x}"
        charge = honest.changed(honest.charge(place, mechanism), request=request, units=units)
        opened = OPENED_SUM.model_copy(
            update={
                "request": request,
                "round": place,
                "round_context": context,
                "summands": (
                    summand(honest.SITE, OWN_VECTOR, context),
                    summand(honest.PARTNER, PARTNERS_VECTOR, context),
                ),
            }
        )
        entries += [
            charge,
            honest.changed(honest.computed(place), request=request, round_context=context),
            honest.changed(honest.released(place), request=request),
            SumOpened(at=260, signed=sign_sum(honest.ADA, opened)),
        ]
    returned = honest.changed(honest.RETURNED, request=request, training_units=0, evaluation_units=0)
    return [*entries, returned, RequestClosed(at=301, request=request, reason="All rounds were computed.")]


def measure() -> dict[str, float]:
    """Seconds to verify a log of 10,000 entries with pinned keys, a witness and an earlier checkpoint."""
    entries = busy_log(ENTRIES)
    data = [entry.canonical() for entry in entries]
    head = [merkle.leaf_hash(it) for it in data]
    note = honest.note(entries)
    cosigned = cosign(honest.PARTNER, "ab" * 32, note, 1_700_000_000)
    bundle = write_bundle(honest.FACTS, note, data, [cosigned])
    pinned = Pinned(
        honest.LOG.public_key().public_bytes_raw(),
        honest.OWNER.public_key().public_bytes_raw(),
        (honest.note(entries[: len(entries) // 2]),),
        (Cosigner("bern", honest.PARTNER.public_key().public_bytes_raw()),),
    )
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        report = verify_bundle(bundle, pinned)
        seconds.append(time.perf_counter() - began)
        if report.broken:
            raise AssertionError(report.broken[0])
    return {"verify s": median(seconds), "entries": len(head), "bundle MB": len(bundle) / 1e6}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
