"""The owner appoints and dismisses; one key serves one person in one role; on both databases."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.people.appoint import appoint, dismiss
from datasites.people.register import register_of
from datasites.store.peers import pin
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError
from policies.log.journal import entries
from policies.log.people_entries import PeopleEntry
from tests.one_site import Scene
from tests.site_people import Holder, fire, hire


def names(scene: Scene) -> list[tuple[str, str]]:
    with scene.site.engine.begin() as connection:
        return [(it.name, it.role) for it in register_of(connection, scene.site).in_role()]


def logged(scene: Scene) -> list[str]:
    with scene.site.engine.begin() as connection:
        return [entry.kind for _, entry in entries(connection) if isinstance(entry, PeopleEntry)]


@pytest.mark.both_databases
def test_people_come_and_go_and_the_log_says_so(scene: Scene) -> None:
    bea = hire(scene, Holder("Bea"))
    hire(scene, Holder("Cem"), "auditor", scene.researcher.party)
    assert names(scene) == [("Bea", "reviewer"), ("Cem", "auditor")]
    fire(scene, bea)
    assert names(scene) == [("Cem", "auditor")]
    hire(scene, Holder("Bea"), "auditor")
    assert names(scene) == [("Cem", "auditor"), ("Bea", "auditor")]
    assert logged(scene) == ["person-appointed", "person-appointed", "person-dismissed", "person-appointed"]
    report = scene.audit()
    assert report.broken == []
    assert "Each of the 3 appointments and 1 dismissals carries the owner key's signature" in " ".join(report.proved)


@pytest.mark.parametrize("whose", ["the owner", "a reviewer", "a dismissed reviewer", "a researcher", "this site"])
def test_a_key_that_serves_already_is_nobodys_new_one(scene: Scene, whose: str) -> None:
    bea, gone = hire(scene, Holder("Bea")), hire(scene, Holder("Dan"))
    fire(scene, gone)
    keys = {
        "the owner": scene.owner_key,
        "a reviewer": bea.key,
        "a dismissed reviewer": gone.key,
        "a researcher": scene.researcher.signing,
        "this site": scene.site.identity.signing,
    }
    with pytest.raises(ConflictError):
        hire(scene, Holder("Eva", keys[whose]))
    assert names(scene) == [("Bea", "reviewer")]
    assert scene.audit().broken == []


@pytest.mark.parametrize("name", ["Bea", "bea", "The Owner"])
def test_a_name_means_one_person(scene: Scene, name: str) -> None:
    hire(scene, Holder("Bea"))
    with pytest.raises(ConflictError):
        hire(scene, Holder(name))


def test_one_researcher_is_one_person(scene: Scene) -> None:
    hire(scene, Holder("Bea"), researcher=scene.researcher.party)
    with pytest.raises(ConflictError):
        hire(scene, Holder("Beatrice"), researcher=scene.researcher.party)
    with pytest.raises(InvalidInputError, match="No researcher"):
        hire(scene, Holder("Cem"), researcher=scene.partners[0].party)


@pytest.mark.both_databases
def test_a_persons_key_is_pinned_as_nobody(scene: Scene) -> None:
    eve = scene.other_researcher
    scene.tamper("DELETE FROM peers WHERE party = :eve", eve=eve.party)
    scene.tamper("INSERT INTO people (key, appointment) VALUES (:key, '{}')", key=eve.card.signing_key)
    with pytest.raises(ConflictError, match="one of this site's people"), scene.site.engine.begin() as connection:
        pin(connection, eve.card, scene.now)


def test_nobody_but_the_owner_appoints_or_dismisses(scene: Scene) -> None:
    bea, cem = hire(scene, Holder("Bea")), Holder("Cem")
    for key in (bea.key, scene.site.identity.signing, Ed25519PrivateKey.generate()):
        with scene.site.engine.begin() as connection:
            with pytest.raises(NotAuthenticError):
                appoint(connection, scene.site, key, name="Cem", role="reviewer", key=cem.public, researcher=None)
            with pytest.raises(NotAuthenticError):
                dismiss(connection, scene.site, key, name="Bea", reason="No.")
    assert logged(scene) == ["person-appointed"]


def test_a_person_who_is_not_there_is_not_dismissed(scene: Scene) -> None:
    with pytest.raises(InvalidInputError, match="Nobody called «Bea»"):
        fire(scene, Holder("Bea"))
