"""Attacks on P5: letters in somebody's name that it did not sign stand in the log, and nobody can fill it with them."""

from pathlib import Path

import pytest

from datasites.protocol.envelope import seal
from datasites.protocol.identity import Identity
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import CatalogRequest
from datasites.serving.incoming import Incoming
from policies.log.journal import entries
from policies.log.witness_entries import SignatureFailed
from policies.statements.digests import digest
from tests.one_site import Scene, new_scene

DAY = 86_400


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return new_scene(tmp_path, database)


def failures(scene: Scene) -> list[SignatureFailed]:
    with scene.site.engine.begin() as connection:
        return [entry for _, entry in entries(connection) if isinstance(entry, SignatureFailed)]


def take(scene: Scene, letter: bytes) -> None:
    Incoming(scene.site, Mailbox(scene.site.identity, scene.site.settings.relay)).take(letter)


def damaged(scene: Scene, sender: Identity, number: int = 1) -> bytes:
    letter = seal(sender, scene.site.identity.card, number, CatalogRequest())
    return letter[:-1] + bytes([letter[-1] ^ 1])


def in_the_name_of(scene: Scene, claimed: Identity, writer: Identity) -> bytes:
    """A stranger knows everybody's cards, and seals and signs a letter with its own key in another's name."""
    forger = Identity(claimed.card, writer.signing, writer.sealing, None)
    return seal(forger, scene.site.identity.card, 1, CatalogRequest())


def test_a_forged_letter_is_logged_with_whose_name_it_came_in(scene: Scene) -> None:
    letter = in_the_name_of(scene, scene.researcher, scene.other_researcher)
    take(scene, letter)
    (entry,) = failures(scene)
    assert (entry.claimed, entry.letter) == (scene.researcher.party, digest("failed-letter", letter))
    assert scene.audit().broken == []


def test_nobody_fills_the_log_with_letters_that_nobody_signed(scene: Scene) -> None:
    for number in range(1, 40):
        take(scene, damaged(scene, scene.researcher, number))
    assert [it.unlogged for it in failures(scene)] == [0]
    scene.clock.seconds += DAY
    take(scene, damaged(scene, scene.researcher))
    assert [it.unlogged for it in failures(scene)] == [0, 38]
    scene.clock.seconds -= 2 * DAY
    take(scene, damaged(scene, scene.researcher))
    assert len(failures(scene)) == 2, "setting the clock back opens no new day"
    take(scene, damaged(scene, scene.partners[0]))
    assert [it.claimed for it in failures(scene)][2:] == [scene.partners[0].party]


def test_letters_from_strangers_and_to_others_leave_no_trace(scene: Scene, tmp_path: Path) -> None:
    """Anybody can make as many identities as they like: what is in nobody's pinned name is dropped."""
    stranger = Identity.create(tmp_path / "stranger", "mallory", "researcher")
    take(scene, damaged(scene, stranger))
    take(scene, seal(scene.researcher, scene.partners[0].card, 1, CatalogRequest()))
    take(scene, b"nonsense")
    assert failures(scene) == []
