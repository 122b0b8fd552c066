"""Decisions: what the subject binds, and whose signature counts."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.decision import MAXIMUM_SIGNED_DECISION_BYTES, Decision, SignedDecision, sign_decision, verify_decision
from policies.errors import InvalidInputError, NotAuthenticError
from policies.statements.schema import parse_model

OWNER = Ed25519PrivateKey.generate()
OWNER_KEY = OWNER.public_key().public_bytes_raw()
FIELDS: dict[str, Any] = {
    "version": "cloister-decision/1",
    "site": "a1" * 32,
    "request": "b2" * 32,
    "data_set": "stroke-registry",
    "snapshot_commitment": "c3" * 32,
    "population": "stroke-patients",
    "training_units": 7_000_000,
    "evaluation_units": 0,
    "house_rules": "e6" * 32,
    "expires_at": 2_000_000_000,
    "approvals": 1,
    "verdict": "approve",
    "reason": "Reviewed by the board.",
    "decided_at": 1_900_000_000,
}


def decision(**changes: object) -> Decision:
    return Decision(**(FIELDS | changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("site", "a2" * 32),
        ("request", "b3" * 32),
        ("data_set", "other"),
        ("snapshot_commitment", "c4" * 32),
        ("population", "others"),
        ("training_units", 7_000_001),
        ("evaluation_units", 1),
        ("house_rules", "d5" * 32),
        ("expires_at", 2_000_000_001),
        ("approvals", 2),
    ],
)
def test_the_subject_binds_everything_that_is_approved(field: str, value: object) -> None:
    assert decision(**{field: value}).subject() != decision().subject()


def test_the_subject_is_known_before_the_decision() -> None:
    changed = decision(verdict="deny", reason="Out of scope.", decided_at=1)
    assert changed.subject() == decision().subject()


def test_a_signed_decision_survives_the_wire() -> None:
    data = sign_decision(OWNER, decision()).canonical()
    signed = parse_model(SignedDecision, data, maximum_bytes=MAXIMUM_SIGNED_DECISION_BYTES, what="The decision")
    assert signed.decision == decision()
    assert verify_decision(signed, OWNER_KEY).role == "owner"


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"version"}))
def test_no_field_can_be_changed_after_signing(field: str) -> None:
    other = {"verdict": "deny", "data_set": "other", "population": "others", "reason": "Other."}
    value = other.get(field, FIELDS[field] + 1 if isinstance(FIELDS[field], int) else "ff" * 32)
    forged = sign_decision(OWNER, decision()).model_copy(update={"decision": decision(**{field: value})})
    with pytest.raises(NotAuthenticError):
        verify_decision(forged, OWNER_KEY)


def test_another_keys_decision_is_not_the_owners() -> None:
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(NotAuthenticError, match="neither the owner's nor appointed"):
        verify_decision(sign_decision(stranger, decision()), OWNER_KEY)
    renamed = sign_decision(stranger, decision()).model_copy(update={"signer": OWNER_KEY.hex()})
    with pytest.raises(NotAuthenticError, match="not by the key"):
        verify_decision(renamed, OWNER_KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "maybe"},
        {"training_units": -1},
        {"training_units": 2**53},
        {"population": "Stroke patients"},
        {"reason": "hidden\u202etext"},
        {"site": "A1" * 32},
    ],
)
def test_values_outside_their_types_are_refused(changes: dict[str, object]) -> None:
    fields = decision().model_copy(update=changes).model_dump()
    with pytest.raises(InvalidInputError) as caught:
        parse_model(Decision, Decision.model_construct(**fields).canonical(), maximum_bytes=20_000, what="The decision")
    assert "hidden" not in str(caught.value)
