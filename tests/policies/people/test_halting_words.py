"""Revocations, stops and resumptions count under the key of whoever may decide at the site, and of nobody else."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.people.appointment import AppointedRole, Appointment, SignedAppointment, sign_appointment
from policies.people.revocation import Revocation, sign_revocation, verify_revocation
from policies.people.signer import Person
from policies.people.stop import (
    Resumption,
    SignedStop,
    Stop,
    sign_resumption,
    sign_stop,
    verify_resumption,
    verify_stop,
)

SITE, OTHER_SITE = "a" * 64, "b" * 64
OWNER, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OWNER_KEY = OWNER.public_key().public_bytes_raw()
STOP = Stop(version="cloister-stop/1", site=SITE, serial=1, reason="An incident.", stopped_at=5)


def appointed(role: AppointedRole) -> SignedAppointment:
    return sign_appointment(
        OWNER,
        Appointment(
            version="cloister-appointment/1",
            site=SITE,
            name="Ada",
            role=role,
            key=OTHER.public_key().public_bytes_raw().hex(),
            researcher=None,
            appointed_at=1,
        ),
    )


def revoked(key: Ed25519PrivateKey, appointment: SignedAppointment | None, site: str = SITE) -> Person:
    word = Revocation(version="cloister-revocation/1", site=site, request="c" * 64, reason="Why.", revoked_at=9)
    return verify_revocation(sign_revocation(key, appointment, word), OWNER_KEY, SITE)


def stopped(key: Ed25519PrivateKey, appointment: SignedAppointment | None, site: str = SITE) -> Person:
    return verify_stop(sign_stop(key, appointment, STOP.model_copy(update={"site": site})), OWNER_KEY, SITE)


def resumed(
    key: Ed25519PrivateKey,
    appointment: SignedAppointment | None,
    site: str = SITE,
    standing: SignedStop | None = None,
) -> Person:
    """Whoever is appointed ends a stop of their own, if no other is `standing`."""
    word = Resumption(version="cloister-resumption/1", site=site, stop=STOP.digest(), resumed_at=9)
    standing = standing or sign_stop(key, appointment, STOP)
    return verify_resumption(sign_resumption(key, appointment, word), OWNER_KEY, standing)


Word = Callable[..., Person]
WORDS = pytest.mark.parametrize("word", [revoked, stopped, resumed])


@WORDS
def test_the_owner_and_a_reviewer_may(word: Word) -> None:
    assert word(OWNER, None).role == "owner"
    assert (word(OTHER, appointed("reviewer")).name, word(OTHER, appointed("reviewer")).role) == ("Ada", "reviewer")


@WORDS
@pytest.mark.parametrize(
    ("key", "appointment", "site", "error"),
    [
        (OTHER, None, SITE, NotAuthenticError),
        (OTHER, appointed("auditor"), SITE, RefusedError),
        (OWNER, appointed("reviewer"), SITE, NotAuthenticError),
        (OWNER, None, OTHER_SITE, NotAuthenticError),
    ],
)
def test_nobody_else_may_nor_at_another_site(
    word: Word,
    key: Ed25519PrivateKey,
    appointment: SignedAppointment | None,
    site: str,
    error: type[CloisterError],
) -> None:
    with pytest.raises(error):
        word(key, appointment, site)


def test_a_resumption_ends_the_stop_that_it_names_alone() -> None:
    word = Resumption(version="cloister-resumption/1", site=SITE, stop=STOP.digest(), resumed_at=9)
    later = STOP.model_copy(update={"serial": 2})
    with pytest.raises(NotAuthenticError, match="another stop"):
        verify_resumption(sign_resumption(OWNER, None, word), OWNER_KEY, sign_stop(OWNER, None, later))


def test_the_owner_ends_any_stop_and_a_reviewer_only_their_own() -> None:
    owners, theirs = sign_stop(OWNER, None, STOP), sign_stop(OTHER, appointed("reviewer"), STOP)
    assert resumed(OWNER, None, standing=theirs).role == "owner"
    assert resumed(OTHER, appointed("reviewer"), standing=theirs).name == "Ada"
    with pytest.raises(RefusedError, match="Ada did not stop the site; only the owner, or who did"):
        resumed(OTHER, appointed("reviewer"), standing=owners)
