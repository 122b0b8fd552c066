"""Hearing witnesses: only the answer to the newest question counts, and it must be about this site's own log."""

import pytest

from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.witnesses.ask import ask_again, ask_anew, ask_witnesses
from datasites.witnesses.hear import unconfirmed
from policies.errors import NotAuthenticError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.entries import MessageGap
from policies.log.journal import append, tree_head
from policies.log.merkle import TreeHead
from tests.one_site import Scene


@pytest.fixture
def parties(scene: Scene) -> tuple[str, str]:
    return scene.partners[0].party, scene.partners[1].party


def ask(scene: Scene, *parties: str) -> dict[str, WitnessRequest]:
    with scene.site.engine.begin() as connection:
        ask_witnesses(connection, scene.site, parties, scene.now)
    return scene.questions()


def missing(scene: Scene, parties: tuple[str, ...], size: int = 1) -> list[str]:
    with scene.site.engine.begin() as connection:
        return unconfirmed(connection, parties, size)


def grow(scene: Scene) -> int:
    with scene.site.engine.begin() as connection:
        append(connection, MessageGap(at=scene.now, sender="ab" * 32, expected=1, got=2))
        return tree_head(connection).size


def echo(message: WitnessRequest) -> WitnessReply:
    return WitnessReply(nonce=message.nonce, checkpoint=message.checkpoint, balance=message.balance)


def test_a_confirmation_counts_for_its_size_and_until_it_is_asked_anew(scene: Scene, parties: tuple[str, str]) -> None:
    asked = ask(scene, *parties)
    assert missing(scene, parties) == list(parties)
    assert scene.hear(parties[0], echo(asked[parties[0]]))
    assert missing(scene, parties) == [parties[1]]
    size = grow(scene)
    assert missing(scene, parties[:1], size - 1) == []
    assert missing(scene, parties[:1], size) == [parties[0]]
    with scene.site.engine.begin() as connection:
        ask_anew(connection, scene.site, parties, scene.now)
    assert missing(scene, parties) == list(parties)


def test_answers_that_were_overtaken_replayed_or_given_by_another_change_nothing(
    scene: Scene, parties: tuple[str, str]
) -> None:
    first, second = ask(scene, *parties), ask(scene, parties[0])
    assert scene.hear(parties[0], echo(first[parties[0]]))
    assert scene.hear(parties[1], echo(second[parties[0]]))
    assert scene.hear(scene.researcher.party, echo(second[parties[0]]))
    assert missing(scene, parties) == list(parties)
    assert scene.hear(parties[0], echo(second[parties[0]]))
    assert missing(scene, parties) == [parties[1]]
    with scene.site.engine.begin() as connection:
        ask_anew(connection, scene.site, parties, scene.now)
    assert scene.hear(parties[0], echo(second[parties[0]]))
    assert missing(scene, parties) == list(parties)


def test_a_witness_that_holds_an_earlier_one_is_shown_the_way_from_there_once(
    scene: Scene, parties: tuple[str, str]
) -> None:
    earlier = ask(scene, parties[0])[parties[0]]
    grow(scene)
    newer = ask(scene, parties[0])[parties[0]]
    assert newer.proof_from == 0
    late = echo(earlier).model_copy(update={"nonce": newer.nonce})
    assert scene.hear(parties[0], late)
    shown = scene.questions()[parties[0]]
    assert shown.proof_from == int(earlier.checkpoint.split("\n")[1])
    assert not scene.hear(parties[0], late.model_copy(update={"nonce": shown.nonce}))
    assert scene.questions() == {}
    assert missing(scene, parties) == list(parties)
    assert scene.hear(parties[0], echo(shown))
    assert missing(scene, parties) == [parties[1]]


def test_a_checkpoint_that_this_site_never_signed_is_no_evidence(scene: Scene, parties: tuple[str, str]) -> None:
    message = ask(scene, parties[0])[parties[0]]
    stranger = scene.owner_key
    forged = sign_checkpoint(stranger, Checkpoint(log_origin(scene.site.identity.party), TreeHead(99, bytes(32))))
    with pytest.raises(NotAuthenticError):
        scene.hear(parties[0], echo(message).model_copy(update={"checkpoint": forged.decode()}))
    assert scene.count("set_backs") == 0
    assert missing(scene, parties) == list(parties)


def test_nobody_is_asked_again_who_was_asked_a_moment_ago(scene: Scene, parties: tuple[str, str]) -> None:
    def again() -> set[str]:
        with scene.site.engine.begin() as connection:
            ask_again(connection, scene.site, parties, scene.now)
        return set(scene.questions())

    assert again() == set(parties)
    scene.clock.seconds += 9
    assert again() == set()
    scene.clock.seconds += 2
    assert again() == set(parties)
    scene.clock.seconds -= 60
    assert again() == set(parties), "a clock that was set back does not silence the site"
