"""P2 under attack by people: whoever has no role, has one no more, or counts twice, decides nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.decide import approve, deny
from datasites.requests.records import Request, Status
from policies.decision import SignedDecision
from policies.errors import CloisterError, NotAuthenticError
from policies.people.appointment import SignedAppointment
from tests.attacks.signed_by_people import ELSEWHERE, of, signed
from tests.one_site import Scene, new_scene
from tests.one_study import OTHER_STUDY
from tests.site_people import Holder, appointment, ask_for, fire, hire


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


def approve_as(scene: Scene, request: Request, key: Ed25519PrivateKey) -> Request:
    digest = scene.shown_digest(request)
    with scene.site.engine.begin() as connection:
        return approve(connection, scene.site, digest, key)


def never_appointed(scene: Scene) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def an_auditor(scene: Scene) -> Ed25519PrivateKey:
    return hire(scene, Holder("Cem"), "auditor").key


def dismissed(scene: Scene) -> Ed25519PrivateKey:
    bea = hire(scene, Holder("Bea"))
    fire(scene, bea)
    return bea.key


def who_asked(scene: Scene) -> Ed25519PrivateKey:
    return hire(scene, Holder("Ada"), researcher=scene.researcher.party).key


def who_asked_by_their_own_key(scene: Scene) -> Ed25519PrivateKey:
    """The owner appointed the very key that the researcher signs messages by, before it was pinned."""
    ada = Holder("Ada", scene.researcher.signing)
    appointed = appointment(scene.owner_key, scene.site.identity.party, ada)
    insert(scene, ada, appointed)
    return ada.key


def appointed_by_themselves(scene: Scene) -> Ed25519PrivateKey:
    eve = Holder("Eve")
    insert(scene, eve, appointment(eve.key, scene.site.identity.party, eve))
    return eve.key


def appointed_elsewhere(scene: Scene) -> Ed25519PrivateKey:
    """The same owner's reviewer at another datasite."""
    eve = Holder("Eve")
    insert(scene, eve, appointment(scene.owner_key, ELSEWHERE, eve))
    return eve.key


def insert(scene: Scene, holder: Holder, appointed: SignedAppointment) -> None:
    text = appointed.canonical().decode()
    scene.tamper("INSERT INTO people (key, appointment) VALUES (:key, :text)", key=holder.public, text=text)


@pytest.mark.parametrize(
    "whose",
    [
        never_appointed,
        an_auditor,
        dismissed,
        who_asked,
        who_asked_by_their_own_key,
        appointed_by_themselves,
        appointed_elsewhere,
    ],
)
def test_nobody_decides_without_a_role_that_lets_them(
    scene: Scene, whose: Callable[[Scene], Ed25519PrivateKey]
) -> None:
    ask_for(scene, studies=2)
    request, key = scene.submit(), whose(scene)
    digest = scene.shown_digest(request)
    with pytest.raises(CloisterError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, digest, key)
    with pytest.raises(CloisterError), scene.site.engine.begin() as connection:
        deny(connection, scene.site, 1, "no", key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == scene.count("approvals") == 0


def waiting(scene: Scene, subject: str, decision: SignedDecision) -> None:
    """Write an approval that waits, behind the datasite's back."""
    scene.tamper(
        "INSERT INTO approvals (request, subject, signer, statement) VALUES (:it, :subject, :signer, :text)",
        it=decision.decision.request,
        subject=subject,
        signer=decision.signer,
        text=decision.canonical().decode(),
    )


def with_a_forged_signature(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, request, hire(scene, Holder("Bea"))).model_copy(update={"signature": "0" * 128})


def of_another_request(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, scene.submit(OTHER_STUDY), hire(scene, Holder("Bea")))


def over_another_digest(scene: Scene, request: Request) -> SignedDecision:
    return of(scene, request, hire(scene, Holder("Bea")), evaluation_units=0)


def of_somebody_never_appointed(scene: Scene, request: Request) -> SignedDecision:
    eve = Holder("Eve")
    return signed(scene, request, eve.key, appointment(scene.owner_key, scene.site.identity.party, eve))


@pytest.mark.parametrize(
    "forged", [with_a_forged_signature, of_another_request, over_another_digest, of_somebody_never_appointed]
)
def test_an_approval_written_into_the_database_is_nobodys(
    scene: Scene, forged: Callable[[Scene, Request], SignedDecision]
) -> None:
    ask_for(scene, studies=3)
    request = scene.submit()
    subject = scene.shown_digest(request)
    decision = forged(scene, request)
    waiting(scene, subject, decision)
    with pytest.raises(NotAuthenticError), scene.site.engine.begin() as connection:
        approve(connection, scene.site, subject, scene.owner_key)
    assert scene.request(request.digest).status is Status.PENDING
    assert scene.count("reservations") == 0


def test_ones_own_approval_under_another_name_is_still_ones_own(scene: Scene) -> None:
    ask_for(scene, studies=2)
    request = scene.submit()
    approve_as(scene, request, scene.owner_key)
    scene.tamper("UPDATE approvals SET signer = :other", other="1" * 64)
    with pytest.raises(CloisterError):
        approve_as(scene, request, scene.owner_key)
    assert scene.request(request.digest).status is Status.PENDING


def test_a_dismissal_wiped_out_of_the_database_still_stands_in_the_log(scene: Scene) -> None:
    request, bea = scene.submit(), hire(scene, Holder("Bea"))
    fire(scene, bea)
    scene.tamper("UPDATE people SET dismissal = NULL")
    approve_as(scene, request, bea.key)
    (broken, *_) = scene.audit().broken
    assert "Bea was dismissed" in broken.reason
