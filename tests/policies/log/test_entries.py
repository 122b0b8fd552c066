"""Entries: every kind survives the wire, and nothing but the declared fields in their one spelling is accepted."""

import typing
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.decision import Decision, sign_decision
from policies.errors import InvalidInputError
from policies.jobs.decision import MAXIMUM_SIGNED_JOB_DECISION_BYTES
from policies.jobs.release import MAXIMUM_OUTPUT_BYTES, MAXIMUM_SIGNED_RELEASE_BYTES, OutputFact
from policies.jobs.terms import MAXIMUM_JOB_TERMS_BYTES, CodeFile
from policies.log import entries as log
from policies.log.budget_entries import (
    ChargeMade,
    Mechanism,
    PopulationOpened,
    ReservationClosed,
    ReservationLost,
    ReservationOpened,
    round_step,
    step_round,
)
from policies.log.people_entries import PersonAppointed, PersonDismissed
from policies.log.question_entries import QuestionAnswered, QuestionAsked
from policies.log.recovery import LostHead, Recovery, sign_recovery
from policies.log.review_entries import RequestReviewed
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered, SetBackNoticed
from policies.log.superseded_entries import RequestSuperseded
from policies.log.witness_entries import HistoriesSettled, RecoveryTaken, SignatureFailed, SumDisputed, TwoHistories
from policies.people.appointment import Dismissal, sign_dismissal
from policies.question import Question, sign_question
from policies.statements.canonical import canonical_bytes
from policies.terms import (
    MAXIMUM_TERMS_BYTES,
    CohortMember,
    Deadlines,
    Evaluation,
    Privacy,
    Programs,
    SecureAveraging,
    Terms,
    Training,
)
from tests.attacks.honest_halts import resumed, revoked, stopped
from tests.attacks.honest_job_log import (
    FIRST,
    JOB_DECISION,
    JOB_RECEIVED,
    JOB_TERMS,
    JOB_TRIED,
    STAYS,
    decided,
    ended,
    inspected,
    sent,
    started,
    word,
)
from tests.attacks.honest_log import ADOPTED
from tests.attacks.honest_rules_log import APPROVED_BY_RULES
from tests.attacks.honest_sum import SUM_OPENED
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS
from tests.site_people import Holder, appointment

HEX = "0f" * 32
SIGNED = sign_decision(
    Ed25519PrivateKey.generate(),
    Decision(
        version="cloister-decision/1",
        site=HEX,
        request=HEX,
        data_set="registry",
        snapshot_commitment=HEX,
        population="patients",
        training_units=1,
        evaluation_units=2,
        house_rules=HEX,
        expires_at=9,
        approvals=1,
        verdict="deny",
        reason="No.",
        decided_at=3,
    ),
)
RECOVERED = sign_recovery(
    Ed25519PrivateKey.generate(),
    Recovery(version="cloister-recovery/1", site=HEX, lost=(LostHead(size=3, root=HEX),), recovered_at=1),
)
TERMS = Terms(
    version="cloister-terms/1",
    study="0f" * 16,
    title="Frühwarnung",
    researcher=HEX,
    purpose="Early warning",
    legal_basis="Consent.",
    recipients="The study group",
    onward_use="None",
    supersedes=None,
    cohort=tuple(CohortMember(site=f"{number:064x}", data_set="registry", weight=1, **UNITS) for number in range(2)),
    programs=Programs(loss=HEX, metrics=HEX, initial_parameters=HEX, source=HEX, parameter_count=10, tokens=None),
    training=Training(
        strategy="fedavg",
        rounds=6_999,
        local_steps=1,
        retries=0,
        sampling_rate=0.1,
        noise_multiplier=1.0,
        clipping_norm=1e-6,
        learning_rate=0.3,
        **PLAIN_STEPS,
    ),
    evaluation=Evaluation(models=(0, 2), metrics=("accuracy",), histograms=(), noise_multiplier=30.0),
    secure_averaging=SecureAveraging(minimum_cohort=2, colluders=0, bits=16, update_range=1.0),
    privacy=Privacy(epsilon=3.0, delta=1e-6),
    deadlines=Deadlines(setup_seconds=60, round_seconds=60),
    expires_at=9,
)
MECHANISM = Mechanism(noise_multiplier=1.0, sampling_rate=1.0, steps=4)
APPOINTED = appointment(Ed25519PrivateKey.generate(), HEX, Holder("Bea"))
DISMISSED = sign_dismissal(
    Ed25519PrivateKey.generate(),
    Dismissal(version="cloister-dismissal/1", site=HEX, key=HEX, reason="Left.", dismissed_at=2),
)
QUESTION = Question(version="cloister-question/1", site=HEX, request=HEX, number=1, text="Why?", asked_at=1)
EXAMPLES: list[log.LogEntry] = [
    PersonAppointed(at=1, signed=APPOINTED),
    PersonDismissed(at=2, signed=DISMISSED),
    log.SiteOpened(at=1, site=HEX, name="Klinikum Süd", signing_key=HEX, log_key=HEX, owner_key=HEX),
    log.PeerPinned(at=1, party=HEX, name="Researcher", role="researcher", card=HEX),
    PopulationOpened(at=1, population=HEX, epsilon=3, delta=1e-6, filter_order=9, allowance_units=10),
    log.DataSetRegistered(at=1, data_set="registry", population=HEX, manifest=HEX, snapshot_commitment=HEX),
    log.RequestReceived(at=1, request=TERMS.digest(), terms=TERMS),
    log.DecisionTaken(at=1, signed=SIGNED),
    ReservationOpened(at=1, request=HEX, population=HEX, training_units=1, evaluation_units=0),
    ChargeMade(
        at=1,
        population=HEX,
        request=HEX,
        partition="evaluation",
        step=round_step(3),
        attempt=1,
        mechanism=MECHANISM,
        units=7,
    ),
    ReservationClosed(at=1, request=HEX, population=HEX, training_units=1, evaluation_units=0),
    log.RoundComputed(
        at=1,
        request=HEX,
        round=3,
        attempt=1,
        round_context=HEX,
        model=HEX,
        output_commitment=HEX,
        seconds=3,
        layers=("no-new-privileges", "seccomp"),
    ),
    log.UpdateReleased(at=1, request=HEX, round=3, recipient=HEX, output_commitment=HEX),
    log.RequestClosed(at=1, request=HEX, reason="All rounds are done."),
    log.MessageGap(at=1, sender=HEX, expected=4, got=6),
    log.MessageRefused(at=1, sender=HEX, message=HEX, reason="The signature does not hold."),
    SetBackNoticed(at=1, witness=HEX, held=LostHead(size=3, root=HEX)),
    LogRecovered(at=1, signed=RECOVERED),
    ReservationLost(at=1, request=HEX, population=HEX, training_units=1, evaluation_units=0),
    BudgetWrittenOff(at=1, population=HEX, training_units=1, evaluation_units=0),
    RequestReviewed(at=1, request=HEX, findings=HEX),
    ADOPTED,
    APPROVED_BY_RULES,
    SUM_OPENED,
    SumDisputed(at=1, signed=SUM_OPENED.signed, reason="It leaves this site out."),
    TwoHistories(at=1, site=HEX, log_key=HEX, first="one", second="another"),
    HistoriesSettled(at=1, site=HEX, reason="A copy of its machine ran by mistake."),
    RecoveryTaken(at=1, site=HEX, owner_key=HEX, signed=RECOVERED),
    SignatureFailed(at=1, claimed=HEX, letter=HEX, unlogged=4),
    revoked(),
    stopped(),
    resumed(),
    QuestionAsked(at=1, signed=sign_question(Ed25519PrivateKey.generate(), None, QUESTION)),
    RequestSuperseded(at=1, request=HEX, by=HEX),
    QuestionAnswered(at=1, request=HEX, number=1, answer="Because.\nIt is so."),
    STAYS,
    JOB_RECEIVED,
    JOB_TRIED,
    FIRST,
    started(1),
    ended(1),
    inspected(1, clean=True),
    word(1),
    sent(1, "clean"),
]


def test_the_examples_are_one_of_each_kind() -> None:
    union = get_args(typing.cast(Any, log.LogEntry))[0]
    assert {type(entry) for entry in EXAMPLES} == set(get_args(union))
    assert len({entry.kind for entry in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry.kind)
def test_every_kind_survives_the_wire(entry: log.LogEntry) -> None:
    assert log.parse_entry(entry.canonical()) == entry


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry.kind)
def test_every_field_is_needed_and_no_other_is_taken(entry: log.LogEntry) -> None:
    fields = entry.model_dump(mode="json")
    for field in fields:
        with pytest.raises(InvalidInputError):
            log.parse_entry(canonical_bytes({name: value for name, value in fields.items() if name != field}))
    with pytest.raises(InvalidInputError):
        log.parse_entry(canonical_bytes(fields | {"patient": "Ada"}))


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"at":1,"kind":"unknown"}',
        b'{"kind":"request-closed","at":1,"reason":"x","request":"' + HEX.encode() + b'"}',
        b'{"at":1, "kind":"request-closed","reason":"x","request":"' + HEX.encode() + b'"}',
        b'{"at":"1","kind":"request-closed","reason":"x","request":"' + HEX.encode() + b'"}',
        b'{"at":-1,"kind":"request-closed","reason":"x","request":"' + HEX.encode() + b'"}',
        b'{"at":1,"kind":"request-closed","reason":"'
        + b"x" * log.MAXIMUM_ENTRY_BYTES
        + b'","request":"'
        + HEX.encode()
        + b'"}',
    ],
)
def test_another_spelling_kind_type_or_size_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        log.parse_entry(data)


def test_the_largest_terms_that_a_site_accepts_fit_into_an_entry() -> None:
    long = "\U0001f600" * 2000
    metrics = tuple(f"m{number:062}" for number in range(64))
    evaluation = TERMS.evaluation.model_copy(update={"models": tuple(range(140)), "metrics": metrics})
    cohort = tuple(CohortMember(site=f"{number:064x}", data_set="a" * 63, weight=1, **UNITS) for number in range(100))
    training = TERMS.training.model_copy(update={"rounds": 139})
    texts = {"title": long[:200], "purpose": long, "legal_basis": long, "recipients": long, "onward_use": long}
    terms = TERMS.model_copy(update={"evaluation": evaluation, "training": training, "cohort": cohort, **texts})
    entry = log.RequestReceived(at=2**40, request=terms.digest(), terms=terms)
    assert log.parse_entry(entry.canonical()) == entry
    assert len(entry.canonical()) - len(terms.canonical()) < log.MAXIMUM_ENTRY_BYTES - MAXIMUM_TERMS_BYTES


def test_the_largest_words_on_a_job_fit_into_an_entry() -> None:
    paths = tuple(f"{number:03}" + "x" * 97 + "/" + "y" * 99 for number in range(400))
    sets = tuple(
        JOB_DECISION.data_sets[0].model_copy(update={"name": f"{n:063}", "population": "p" * 64}) for n in range(20)
    )
    files = tuple(OutputFact(kind="output", path=path, size=MAXIMUM_OUTPUT_BYTES) for path in paths)
    long = "\U0001f600" * 2000
    code = tuple(CodeFile(path=path, size=1, digest=HEX) for path in (*paths[1:], "zz.py"))
    terms = JOB_TERMS.model_copy(
        update={"code": code, "purpose": long, "legal_basis": long, "recipients": long, "onward_use": long}
    )
    decision, release = decided(1, outputs=paths, data_sets=sets, reason=long), word(1, files=files, reason=long)
    received = JOB_RECEIVED.model_copy(update={"terms": terms.model_copy(update={"entrypoint": "zz.py"})})
    assert all(log.parse_entry(entry.canonical()) == entry for entry in (decision, release, received))
    assert len(decision.signed.canonical()) < MAXIMUM_SIGNED_JOB_DECISION_BYTES < log.MAXIMUM_ENTRY_BYTES
    assert len(release.signed.canonical()) < MAXIMUM_SIGNED_RELEASE_BYTES < log.MAXIMUM_ENTRY_BYTES
    assert len(received.terms.canonical()) < MAXIMUM_JOB_TERMS_BYTES < log.MAXIMUM_ENTRY_BYTES


@pytest.mark.parametrize(
    ("step", "number"), [("round 3", 3), ("round 10000", 10_000), ("round", None), ("setup 3", None)]
)
def test_a_step_names_its_round(step: str, number: int | None) -> None:
    assert step_round(step) == number
    assert number is None or round_step(number) == step


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EXAMPLES), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_the_entry(entry: log.LogEntry, place: int, change: int) -> None:
    data = bytearray(entry.canonical())
    data[place % len(data)] ^= change
    try:
        parsed = log.parse_entry(bytes(data))
    except InvalidInputError:
        return
    assert parsed != entry
    assert parsed.canonical() == bytes(data)
