"""A statement counts as a person's only under the owner's key, or one that this owner appointed at this site."""

from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import NotAuthenticError, RefusedError
from policies.people.appointment import Appointment, SignedAppointment, sign_appointment
from policies.people.signer import Person, person_signature, require_person, require_role
from policies.statements.schema import PublicKey, Signature, StrictModel

SITE, OTHER_SITE = "a" * 64, "b" * 64
OWNER, REVIEWER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


class Word(StrictModel):
    """A statement."""

    version: Literal["word/1"] = "word/1"
    text: str = "yes"


class SignedWord(StrictModel):
    """A statement by a person."""

    word: Word
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def appointed(key: Ed25519PrivateKey = REVIEWER, by: Ed25519PrivateKey = OWNER, site: str = SITE) -> SignedAppointment:
    return sign_appointment(
        by,
        Appointment(
            version="cloister-appointment/1",
            site=site,
            name="Ada Lovelace",
            role="reviewer",
            key=raw(key).hex(),
            researcher=None,
            appointed_at=1,
        ),
    )


def signed(key: Ed25519PrivateKey, appointment: SignedAppointment | None) -> SignedWord:
    return SignedWord(word=Word(), **person_signature(key, appointment, "word", Word()))


def person_of(word: SignedWord) -> Person:
    return require_person(word, word.word, raw(OWNER), SITE, "word", what="the word")


def test_the_owner_and_a_reviewer_sign() -> None:
    assert person_of(signed(OWNER, None)).role == "owner"
    reviewer = person_of(signed(REVIEWER, appointed()))
    assert (reviewer.role, reviewer.name) == ("reviewer", "Ada Lovelace")


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(signed(REVIEWER, None), id="not-appointed"),
        pytest.param(signed(REVIEWER, appointed(by=REVIEWER)), id="appointed-by-oneself"),
        pytest.param(signed(REVIEWER, appointed(site=OTHER_SITE)), id="appointed-elsewhere"),
        pytest.param(signed(Ed25519PrivateKey.generate(), appointed()), id="another's-appointment"),
        pytest.param(signed(REVIEWER, appointed()).model_copy(update={"word": Word(text="no")}), id="changed"),
        pytest.param(signed(REVIEWER, appointed()).model_copy(update={"signature": "0" * 128}), id="no-signature"),
    ],
)
def test_nobody_else_signs(word: SignedWord) -> None:
    with pytest.raises(NotAuthenticError):
        person_of(word)


def test_another_domain_is_another_statement() -> None:
    word = signed(OWNER, None)
    with pytest.raises(NotAuthenticError):
        require_person(word, word.word, raw(OWNER), SITE, "another", what="the word")


def test_a_role_is_asked_for_by_name() -> None:
    reviewer = person_of(signed(REVIEWER, appointed()))
    require_role(reviewer, "owner", "reviewer", what="approve")
    with pytest.raises(RefusedError, match="Ada Lovelace is reviewer here"):
        require_role(reviewer, "owner", what="appoint")
