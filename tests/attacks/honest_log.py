"""An honest site's log of one study, written entry by entry, for the attacks on P5 to bend."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.budget.costs import Partition
from policies.budget.filter import allowance_units, filter_order
from policies.budget.renyi import GaussianMechanism, cost_units
from policies.decision import Decision, sign_decision
from policies.identity_card import party_of
from policies.log import entries as log
from policies.log import merkle
from policies.log.budget_entries import (
    ChargeMade,
    Mechanism,
    PopulationOpened,
    ReservationClosed,
    ReservationOpened,
    round_step,
)
from policies.log.bundle import SiteFacts, write_bundle
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.review_entries import RequestReviewed
from policies.log.rules_entries import RulesAdopted
from policies.log.verify import Pinned, Report, verify_bundle
from policies.rules.adoption import Adoption, sign_adoption
from policies.rules.house_rules import HouseRules
from policies.rules.job_rules import JobRules
from policies.terms import CohortMember, Deadlines, Evaluation, Privacy, Programs, SecureAveraging, Terms, Training
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS

LOG, OWNER, STRANGER, SITE, ADA, PARTNER = (Ed25519PrivateKey.generate() for _ in range(6))
FACTS = SiteFacts(
    name="Klinikum Süd",
    signing_key=SITE.public_key().public_bytes_raw().hex(),
    log_key=LOG.public_key().public_bytes_raw().hex(),
    owner_key=OWNER.public_key().public_bytes_raw().hex(),
)
RESEARCHER, SNAPSHOT = party_of(ADA.public_key().public_bytes_raw()), "cc" * 32
ORDER = filter_order(3.0, 1e-6)
ALLOWANCE = allowance_units(3.0, 1e-6, ORDER)
TRAINING = Mechanism(noise_multiplier=2.0, sampling_rate=0.1, steps=20)
EVALUATION = Mechanism(noise_multiplier=30.0, sampling_rate=1.0, steps=1)
EXPIRES = 5_000
TERMS = Terms(
    version="cloister-terms/1",
    study="0f" * 16,
    title="Early warning of sepsis",
    researcher=RESEARCHER,
    purpose="Train a model on two hospitals",
    legal_basis="Consent.",
    recipients="The study group",
    onward_use="None",
    supersedes=None,
    cohort=(
        CohortMember(site=FACTS.site, data_set="registry", weight=1, **UNITS),
        CohortMember(site=party_of(PARTNER.public_key().public_bytes_raw()), data_set="admissions", weight=2, **UNITS),
    ),
    programs=Programs(
        loss="01" * 32,
        metrics="02" * 32,
        initial_parameters="03" * 32,
        source="04" * 32,
        parameter_count=10,
        tokens=None,
    ),
    training=Training(
        strategy="fedavg",
        rounds=3,
        local_steps=TRAINING.steps,
        retries=0,
        sampling_rate=TRAINING.sampling_rate,
        noise_multiplier=TRAINING.noise_multiplier,
        clipping_norm=1.0,
        learning_rate=0.1,
        **PLAIN_STEPS,
    ),
    evaluation=Evaluation(
        models=(0,), metrics=("accuracy",), histograms=(), noise_multiplier=EVALUATION.noise_multiplier
    ),
    secure_averaging=SecureAveraging(minimum_cohort=2, colluders=0, bits=16, update_range=1.0),
    privacy=Privacy(epsilon=3.0, delta=1e-6),
    deadlines=Deadlines(setup_seconds=60, round_seconds=60),
    expires_at=EXPIRES,
)
REQUEST = TERMS.digest()

RULES = Adoption(
    version="cloister-house-rules/1",
    site=FACTS.site,
    rules=HouseRules(
        minimum_cohort=2,
        minimum_colluders=0,
        maximum_epsilon=100.0,
        maximum_days=3650,
        maximum_round_minutes=10_080,
        jobs=JobRules(release_clean=True),
    ),
    previous=None,
    adopted_at=10,
)
ADOPTED = RulesAdopted(at=10, signed=sign_adoption(OWNER, RULES))

Entries = list[log.LogEntry]


def cost(mechanism: Mechanism) -> int:
    return cost_units(GaussianMechanism(**mechanism.model_dump()), ORDER)


DECISION = Decision(
    version="cloister-decision/1",
    site=FACTS.site,
    request=REQUEST,
    data_set="registry",
    snapshot_commitment=SNAPSHOT,
    population="patients",
    training_units=3 * cost(TRAINING),
    evaluation_units=cost(EVALUATION),
    house_rules=RULES.digest(),
    expires_at=EXPIRES,
    approvals=1,
    verdict="approve",
    reason="Reviewed.",
    decided_at=100,
)


def charge(number: int, mechanism: Mechanism, partition: Partition = "training") -> ChargeMade:
    return ChargeMade(
        at=200 + number,
        population="patients",
        request=REQUEST,
        partition=partition,
        step=round_step(number),
        attempt=1,
        mechanism=mechanism,
        units=cost(mechanism),
    )


def computed(number: int) -> log.RoundComputed:
    return log.RoundComputed(
        at=200 + number,
        request=REQUEST,
        round=number,
        attempt=1,
        round_context=f"{number:064x}",
        model="dd" * 32,
        output_commitment=f"{number + 99:064x}",
        seconds=3,
        layers=("seccomp",),
    )


def released(number: int) -> log.UpdateReleased:
    commitment = computed(number).output_commitment
    at = 200 + number
    return log.UpdateReleased(at=at, request=REQUEST, round=number, recipient=RESEARCHER, output_commitment=commitment)


OPENED = log.SiteOpened(at=10, site=FACTS.site, **FACTS.model_dump())
PINNED = log.PeerPinned(at=11, party=RESEARCHER, name="Researcher", role="researcher", card="ee" * 32)
POPULATION = PopulationOpened(
    at=12, population="patients", epsilon=3.0, delta=1e-6, filter_order=ORDER, allowance_units=ALLOWANCE
)
REGISTERED = log.DataSetRegistered(
    at=13, data_set="registry", population="patients", manifest="ff" * 32, snapshot_commitment=SNAPSHOT
)
RECEIVED = log.RequestReceived(at=90, request=REQUEST, terms=TERMS)
REVIEWED = RequestReviewed(at=95, request=REQUEST, findings="0a" * 32)
APPROVED = log.DecisionTaken(at=101, signed=sign_decision(OWNER, DECISION))
RESERVED = ReservationOpened(
    at=102,
    request=REQUEST,
    population="patients",
    training_units=DECISION.training_units,
    evaluation_units=DECISION.evaluation_units,
)
RETURNED = ReservationClosed(
    at=300, request=REQUEST, population="patients", training_units=cost(TRAINING), evaluation_units=0
)
HONEST: Entries = [
    OPENED,
    ADOPTED,
    PINNED,
    POPULATION,
    REGISTERED,
    RECEIVED,
    APPROVED,
    RESERVED,
    charge(1, TRAINING),
    charge(1, EVALUATION, "evaluation"),
    computed(1),
    released(1),
    charge(2, TRAINING),
    computed(2),
    released(2),
    RETURNED,
    log.RequestClosed(at=301, request=REQUEST, reason="Its researcher ended it."),
]


def note(entries: Sequence[log.LogEntry], key: Ed25519PrivateKey = LOG) -> bytes:
    head = merkle.tree_head(merkle.leaf_hash(entry.canonical()) for entry in entries)
    return sign_checkpoint(key, Checkpoint(log_origin(FACTS.site), head))


def bundle(entries: Sequence[log.LogEntry], signed: bytes | None = None) -> bytes:
    """The file that the site hands to an auditor; without a checkpoint given, it signs afresh."""
    return write_bundle(FACTS, signed or note(entries), [entry.canonical() for entry in entries])


def verify(entries: Sequence[log.LogEntry], signed: bytes | None = None, pinned: Pinned | None = None) -> Report:
    """The report on a bundle of `entries`; without a checkpoint given, the dishonest site signs afresh."""
    return verify_bundle(bundle(entries, signed), pinned or Pinned())


def replaced(old: log.LogEntry, *new: log.LogEntry) -> Entries:
    place = HONEST.index(old)
    return [*HONEST[:place], *new, *HONEST[place + 1 :]]


def after(old: log.LogEntry, *new: log.LogEntry) -> Entries:
    return replaced(old, old, *new)


def under(terms: Terms, entries: Sequence[log.LogEntry] = (), **decided: object) -> Entries:
    """The honest log, or `entries`, with other terms from the start: received, approved, charged under their digest."""
    request = terms.digest()
    approved = approval(request=request, **decided)
    swaps = {RECEIVED: changed(RECEIVED, request=request, terms=terms), APPROVED: approved}
    return [
        swaps.get(entry) or (changed(entry, request=request) if "request" in type(entry).model_fields else entry)
        for entry in entries or HONEST
    ]


def changed(entry: log.LogEntry, **changes: object) -> log.LogEntry:
    return entry.model_copy(update=changes)


def approval(**changes: object) -> log.LogEntry:
    return log.DecisionTaken(at=101, signed=sign_decision(OWNER, DECISION.model_copy(update=changes)))
