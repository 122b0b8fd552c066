"""The owner's signed words on a job: which change makes another subject, and whose signature counts."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from policies.errors import NotAuthenticError
from policies.jobs.decision import DataSetSnapshot, JobDecision, sign_job_decision, verify_job_decision
from policies.jobs.release import OutputFact, ReleaseDecision, sign_release, verify_release
from policies.jobs.terms import JobLimits

HEX = "0" * 64
KEY = Ed25519PrivateKey.generate()
OWNER = KEY.public_key().public_bytes_raw()
SNAPSHOT = DataSetSnapshot(name="visits", commitment="5" * 64, population=None)
DECISION = JobDecision(
    version="cloister-job-decision/1",
    site="1" * 64,
    request="2" * 64,
    attempt=1,
    data_sets=(SNAPSHOT,),
    limits=JobLimits(wall_seconds=60, memory_mib=2048, disk_mib=64),
    outputs=("result.json",),
    release="by-hand",
    house_rules="6" * 64,
    expires_at=2_000_000_000,
    approvals=1,
    verdict="approve",
    reason="as shown",
    decided_at=1_900_000_000,
)
FACT = OutputFact(kind="output", path="result.json", size=3)
RELEASE = ReleaseDecision(
    version="cloister-release/1",
    site="1" * 64,
    request="2" * 64,
    attempt=1,
    commitment="3" * 64,
    files=(FACT,),
    recipient="4" * 64,
    approvals=1,
    verdict="release",
    reason="as shown",
    decided_at=1_900_000_000,
)
SAID = {"verdict", "reason", "decided_at"}
"""What is said of a subject, and is no part of it."""

DECISION_CHANGES: dict[str, Any] = {
    "site": HEX,
    "request": HEX,
    "attempt": 2,
    "data_sets": (SNAPSHOT.model_copy(update={"commitment": HEX}),),
    "limits": JobLimits(wall_seconds=61, memory_mib=2048, disk_mib=64),
    "outputs": ("result.json", "rows.csv"),
    "release": "clean",
    "house_rules": HEX,
    "expires_at": 2_000_000_001,
    "approvals": 2,
}
RELEASE_CHANGES: dict[str, Any] = {
    "site": HEX,
    "request": HEX,
    "attempt": 2,
    "commitment": HEX,
    "files": (FACT, OutputFact(kind="log", path="stdout.txt", size=9)),
    "recipient": HEX,
    "approvals": 2,
}


def test_whatever_is_approved_counts_for_the_digest_that_is_approved() -> None:
    assert set(DECISION_CHANGES) | SAID | {"version"} == set(JobDecision.model_fields)
    subjects = {DECISION.model_copy(update={name: value}).subject() for name, value in DECISION_CHANGES.items()}
    assert len(subjects | {DECISION.subject()}) == len(DECISION_CHANGES) + 1


def test_whatever_is_released_counts_for_the_digest_that_is_released() -> None:
    assert set(RELEASE_CHANGES) | SAID | {"version"} == set(ReleaseDecision.model_fields)
    subjects = {RELEASE.model_copy(update={name: value}).subject() for name, value in RELEASE_CHANGES.items()}
    assert len(subjects | {RELEASE.subject()}) == len(RELEASE_CHANGES) + 1


def test_the_digest_that_is_shown_is_the_one_that_is_decided_on() -> None:
    said = {"verdict": "deny", "reason": "no", "decided_at": 0}
    assert DECISION.model_copy(update=said).subject() == DECISION.subject()
    said["verdict"] = "withhold"
    assert RELEASE.model_copy(update=said).subject() == RELEASE.subject()


def test_the_owners_signature_counts_over_everything_that_was_said() -> None:
    signed = sign_job_decision(KEY, DECISION)
    assert verify_job_decision(signed, OWNER).role == "owner"
    for name, value in (DECISION_CHANGES | {"verdict": "deny", "reason": "no", "decided_at": 0}).items():
        forged = signed.model_copy(update={"decision": DECISION.model_copy(update={name: value})})
        with pytest.raises(NotAuthenticError):
            verify_job_decision(forged, OWNER)
    released = sign_release(KEY, RELEASE)
    assert verify_release(released, OWNER).role == "owner"
    for name, value in (RELEASE_CHANGES | {"verdict": "withhold", "reason": "no", "decided_at": 0}).items():
        forged_release = released.model_copy(update={"release": RELEASE.model_copy(update={name: value})})
        with pytest.raises(NotAuthenticError):
            verify_release(forged_release, OWNER)


def test_nobody_elses_signature_counts() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError):
        verify_job_decision(sign_job_decision(other, DECISION), OWNER)
    with pytest.raises(NotAuthenticError):
        verify_release(sign_release(other, RELEASE), OWNER)
    claimed = sign_release(other, RELEASE).model_copy(update={"signer": OWNER.hex()})
    with pytest.raises(NotAuthenticError):
        verify_release(claimed, OWNER)


def test_a_signature_for_one_kind_of_word_is_none_for_another() -> None:
    decided = sign_job_decision(KEY, DECISION)
    with pytest.raises(NotAuthenticError):
        verify_release(sign_release(KEY, RELEASE).model_copy(update={"signature": decided.signature}), OWNER)


@pytest.mark.parametrize(
    "changes", [{"attempt": 0}, {"verdict": "allow"}, {"release": "always"}, {"outputs": ("../x",)}]
)
def test_a_decision_has_no_other_form(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobDecision(**(DECISION.model_dump() | changes))
