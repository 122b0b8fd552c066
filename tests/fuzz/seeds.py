"""Valid values of every format, from the repository's own scenes; keys are fixed, so that a finding can be replayed."""

import json
from hashlib import sha256

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from datasites.execution.trainer_messages import Load, Loaded, Prepare, Prepared, Ready, Result, Round
from datasites.inspection.question import BoundedColumn, PrivateData, Question
from datasites.protocol import envelope
from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import LetterContent, in_letter
from datasites.protocol.identity import Identity, IdentityCard, Role, parse_card
from datasites.protocol.log_messages import ProofReply, ProofRequest, SumOpenedMessage, WitnessReply, WitnessRequest
from datasites.protocol.messages import (
    AdvertisementMessage,
    Allowance,
    CatalogReply,
    CatalogRequest,
    DataSetOffer,
    MaskedUpdateMessage,
    Message,
    Roster,
    RoundRefused,
    RoundStart,
    SetupStart,
    StudyClose,
    StudyStatus,
    StudySubmission,
)
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from datasites.protocol.weight_messages import ParameterPart, WeightsWanted
from datasites.secure_averaging.advertisement import create
from policies.decision import SignedDecisions, sign_decision
from policies.disclosure.content_findings import Dominance, SmallCounts
from policies.disclosure.file_findings import Image, LeftOut
from policies.disclosure.findings import collect
from policies.disclosure.rules import DisclosureRules
from policies.log.merkle import leaf_hash
from policies.log.receipt import make_receipt
from policies.log.recovery import LostHead, Recovery, sign_recovery
from policies.manifest import parse_manifest
from policies.question import Question as PersonsQuestion
from policies.question import sign_question
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import frame
from policies.statements.schema import StrictModel
from policies.statements.signed import sign
from tests.attacks import honest_log
from tests.attacks.honest_sum import HONEST_WITH_SUM, SUM_OPENED
from tests.conftest import CLINIC
from tests.one_study import INITIAL, LOSS, METRICS, RUN, SOURCE, STUDY, make_terms
from tests.record_forms import columns, data_size


def key_bytes(name: str) -> bytes:
    """32 bytes that every run knows by this name."""
    return sha256(name.encode()).digest()


def identity(name: str, role: Role) -> Identity:
    """A party with fixed keys; a data site has its log key and no owner key."""
    signing = Ed25519PrivateKey.from_private_bytes(key_bytes(f"{name} signs"))
    sealing = X25519PrivateKey.from_private_bytes(key_bytes(f"{name} seals"))
    log = Ed25519PrivateKey.from_private_bytes(key_bytes(f"{name} logs")) if role == "datasite" else None
    fields = {
        "version": "cloister-card/1",
        "name": name,
        "role": role,
        "signing_key": signing.public_key().public_bytes_raw().hex(),
        "sealing_key": sealing.public_key().public_bytes_raw().hex(),
        "log_key": None if log is None else log.public_key().public_bytes_raw().hex(),
        "owner_key": None,
    }
    signature = sign(signing, "card", canonical_bytes(fields)).hex()
    return Identity(parse_card(canonical_bytes({**fields, "signature": signature})), signing, sealing, log)


def sealed(sender: Identity, recipient: IdentityCard, number: int, payload: bytes) -> bytes:
    """What a pinned party can send: any bytes at all, under a good header and a good signature."""
    header = envelope.EnvelopeHeader(
        version="cloister-envelope/1", sender=sender.party, recipient=recipient.party, number=number
    ).canonical()
    content = sign(sender.signing, "envelope", header, payload) + payload
    key = X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.sealing_key))
    return len(header).to_bytes(2, "big") + header + envelope._SUITE.encrypt(content, key, frame("envelope", header))


ADA, SITE, PARTNER = identity("ada", "researcher"), identity("Clinic A", "datasite"), identity("Bern", "datasite")
OWNER = Ed25519PrivateKey.from_private_bytes(key_bytes("owner"))
TERMS = make_terms(STUDY, ADA.party, [SITE.party, PARTNER.party, "ab" * 32], 1_900_086_400, {})
MANIFEST = parse_manifest(CLINIC.encode())
REFERENCE = BlobReference(digest="ab" * 32, size=9, key="cd" * 32)
ADVERTISEMENTS = tuple(
    create(party.signing, party.party, TERMS.digest(), RUN, TERMS.sums)[0] for party in (SITE, PARTNER)
)
DECISION = SignedDecisions(signed=(sign_decision(OWNER, honest_log.DECISION),))
RECEIPT = make_receipt(
    honest_log.FACTS,
    honest_log.note(HONEST_WITH_SUM),
    [leaf_hash(entry.canonical()) for entry in HONEST_WITH_SUM],
    [
        (place, entry.canonical())
        for place, entry in enumerate(HONEST_WITH_SUM)
        if entry.kind in ("request-received", "decision-taken", "sum-opened") or getattr(entry, "round", None) == 1
    ],
)

QUESTION = PersonsQuestion(
    version="cloister-question/1", site=SITE.party, request=TERMS.digest(), number=1, text="Why?", asked_at=1
)

MESSAGES: tuple[Message, ...] = (
    CatalogRequest(),
    StudySubmission(
        study=STUDY,
        terms=TERMS.canonical().decode(),
        loss_program=LOSS,
        metrics_program=METRICS,
        source=SOURCE,
        parameter_parts=(ParameterPart(digest="ab" * 32, size=9, sent=True),),
        initial_parameters=REFERENCE,
        tokeniser=REFERENCE,
    ),
    SetupStart(study=STUDY, run=RUN, terms_digest=TERMS.digest()),
    Roster(study=STUDY, run=RUN, advertisements=ADVERTISEMENTS),
    RoundStart(study=STUDY, run=RUN, round=1, model=REFERENCE),
    StudyClose(study=STUDY, reason="finished"),
    StudyStatus(study=STUDY, status="approved", detail="Ready to run.", decision=DECISION),
    AdvertisementMessage(study=STUDY, run=RUN, advertisement=ADVERTISEMENTS[0]),
    MaskedUpdateMessage(
        study=STUDY,
        run=RUN,
        round=2,
        round_context="01" * 32,
        vector_digest="02" * 32,
        signature="3" * 128,
        update=REFERENCE,
    ),
    RoundRefused(study=STUDY, run=RUN, round=1, reason="the deadline is past"),
    WeightsWanted(study=STUDY, parts=("ab" * 32,)),
    RequestQuestion(name=STUDY, signed=sign_question(OWNER, None, QUESTION)),
    RequestAnswer(request=TERMS.digest(), number=1, answer="Because it is so."),
    WitnessRequest(
        nonce="4" * 32,
        checkpoint=honest_log.note(honest_log.HONEST).decode(),
        proof_from=3,
        proof=("05" * 32, "06" * 32),
        balance="07" * 99,
        recovery=sign_recovery(
            OWNER,
            Recovery(
                version="cloister-recovery/1",
                site=SITE.party,
                lost=(LostHead(size=9, root="08" * 32),),
                recovered_at=1_900_000_000,
            ),
        ),
    ),
    WitnessReply(
        nonce="4" * 32,
        checkpoint=honest_log.note(honest_log.HONEST).decode(),
        balance="07" * 99,
        rival=honest_log.note(honest_log.HONEST[:3]).decode(),
    ),
    SumOpenedMessage(study=STUDY, signed=SUM_OPENED.signed),
    ProofRequest(study=STUDY, first_round=1, last_round=2),
    ProofReply(study=STUDY, first_round=1, last_round=2, receipt=RECEIPT),
    CatalogReply(
        total=1,
        data_sets=(
            DataSetOffer(
                name="clinic-a",
                manifest=MANIFEST.canonical().decode(),
                mock=REFERENCE,
                allowance=Allowance(
                    remaining_training_share=1.0, remaining_evaluation_share=0.5, epsilon=3.0, delta=1e-6
                ),
            ),
        ),
    ),
)
TRAINER: tuple[StrictModel, ...] = (
    Prepare(
        loss=LOSS,
        metrics=METRICS,
        training=TERMS.training,
        evaluation=TERMS.evaluation,
        parameter_count=6,
        record=columns(6, "int64"),
        size=data_size(75, 25),
        gradients="automatic",
        tokens=None,
        tokeniser_bytes=0,
    ),
    Load(),
    Round(number=1, trains=True, evaluates=False),
    Ready(layers=("seccomp", "landlock"), refusal=None),
    Prepared(refusal="The loss is not allowed.", cache_bytes=0),
    Loaded(),
    Result(metrics=2, update=6),
)
LETTER_CONTENTS: tuple[LetterContent, ...] = tuple(in_letter((it,), len(it)) for it in (b"", b"a", b"ab", b"abc" * 99))
FINDINGS = collect(
    ["a/result.json", "stdout.txt"],
    [
        Image(output="a/plot.png", width=640, height=480),
        SmallCounts(output="a/result.json", severity="note", column="n", rows=1, smallest=3, minimum=10),
        Dominance(output="a/result.json", columns=("income",), rows=1, contributors=1, share=0.75, most=0.5),
        LeftOut(what="2 links"),
    ],
)
QUESTION = Question(
    outputs=("a/result.json", "stdout.txt"),
    declared=("a/result.json",),
    left_out=("2 links",),
    rules=DisclosureRules(),
    data_sets=(
        PrivateData(
            data_set="clinic-a",
            files=("data.csv", "more/scan.npy"),
            unit_column="patient",
            columns=(BoundedColumn(name="age", minimum=18, maximum=98),),
        ),
    ),
)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000020800000000"
    "57dd52f80000000b49444154789c636000010000060001fe8c67c80000000049454e44ae426082"
)
PARAMETERS = INITIAL
MODEL = np.linspace(-1, 1, 6).astype("<f4").tobytes()
CSV = b"patient,age,pressure,blood,ill\np1,30,120,A,no\n p2 ,41,80.5,0,yes\np1,98,6e1,AB,no\n"
LOG_BUNDLE = honest_log.write_bundle(
    honest_log.FACTS, honest_log.note(honest_log.HONEST), [entry.canonical() for entry in honest_log.HONEST]
)
JSON_TEXTS = (b"{}", json.dumps({"a": [1, 2.5, "x", None, True], "b": {"c": "\u00e9"}}).encode(), b"[[[1e3]]]")

PLAN_SOURCE = b"""import os, base64 as b
from torch import nn
from tests.record_forms import columns
class Plan(nn.Module):
    def forward(self, x): return getattr(self, "__cla" + "ss__")(exec(b.b64decode("cHJpbnQ=")), open("/etc/passwd"))
"""
