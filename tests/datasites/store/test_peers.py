"""Pins are for ever and unambiguous; numbers of letters only rise, and gaps are logged."""

from pathlib import Path

import pytest

from datasites.protocol.identity import Identity, IdentityCard, parse_card
from datasites.store.peers import next_number, pin, pinned_card, pinned_cards, require_card, take_number
from policies.errors import ConflictError, NotAuthenticError
from policies.log.entries import MessageGap, PeerPinned
from policies.log.journal import entries
from policies.statements.canonical import canonical_bytes
from policies.statements.signed import sign
from tests.one_site import Scene
from tests.site_folder import NOW


def pin_card(scene: Scene, card: IdentityCard) -> None:
    with scene.site.engine.begin() as connection:
        pin(connection, card, NOW)


def renamed(identity: Identity, name: str) -> IdentityCard:
    """The card that the holder of these keys can sign under another name."""
    fields = {**identity.card.model_dump(mode="json", exclude={"signature"}), "name": name}
    return parse_card(
        canonical_bytes({**fields, "signature": sign(identity.signing, "card", canonical_bytes(fields)).hex()})
    )


def test_a_pin_is_logged_once(scene: Scene, tmp_path: Path) -> None:
    mona = Identity.create(tmp_path / "mona", "mona", "researcher").card
    pin_card(scene, mona)
    pin_card(scene, mona)
    with scene.site.engine.begin() as connection:
        assert require_card(connection, mona.party) == mona
        assert [it.name for it in pinned_cards(connection)] == ["ada", "bern", "cadiz", "eve", "mona"]
        logged = [entry for _, entry in entries(connection) if isinstance(entry, PeerPinned)]
    assert [it.name for it in logged].count("mona") == 1


def test_a_name_cannot_change_hands(scene: Scene, tmp_path: Path) -> None:
    impostor = Identity.create(tmp_path / "impostor", "ada", "researcher").card
    with pytest.raises(ConflictError):
        pin_card(scene, impostor)
    with scene.site.engine.begin() as connection:
        assert pinned_card(connection, impostor.party) is None
        assert pinned_card(connection, scene.researcher.party) == scene.researcher.card


def test_keys_cannot_take_a_second_name(scene: Scene) -> None:
    with pytest.raises(ConflictError):
        pin_card(scene, renamed(scene.other_researcher, "eve the second"))


def test_keys_cannot_take_the_name_of_another_peer(scene: Scene) -> None:
    with pytest.raises(ConflictError):
        pin_card(scene, renamed(scene.other_researcher, "ada"))


def test_strangers_are_not_known(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        assert pinned_card(connection, "f" * 64) is None
        with pytest.raises(NotAuthenticError):
            require_card(connection, "f" * 64)


def test_a_number_is_taken_once_and_gaps_are_logged(scene: Scene) -> None:
    ada = scene.researcher.party

    def take(number: int) -> None:
        with scene.site.engine.begin() as connection:
            take_number(connection, ada, number, NOW)

    take(1)
    take(2)
    take(7)
    for replay in (7, 2, 1, 6):
        with pytest.raises(ConflictError):
            take(replay)
    with scene.site.engine.begin() as connection:
        take_number(connection, scene.other_researcher.party, 1, NOW)
        gaps = [entry for _, entry in entries(connection) if isinstance(entry, MessageGap)]
    assert [(it.sender, it.expected, it.got) for it in gaps] == [(ada, 3, 7)]
    assert scene.audit().broken == []


def test_a_number_whose_effect_was_undone_is_free_again(scene: Scene) -> None:
    ada = scene.researcher.party
    with scene.site.engine.begin() as connection:
        take_number(connection, ada, 1, NOW)
        connection.rollback()
    with scene.site.engine.begin() as connection:
        take_number(connection, ada, 1, NOW)


def test_outgoing_numbers_survive_a_reopened_database(scene: Scene) -> None:
    with scene.site.engine.begin() as connection:
        assert [next_number(connection, scene.researcher.party) for _ in range(3)] == [1, 2, 3]
    scene.site.engine.dispose()
    with scene.site.engine.begin() as connection:
        assert next_number(connection, scene.researcher.party) == 4
