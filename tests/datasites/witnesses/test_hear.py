"""Hearing witnesses: only the answer to the newest question counts, and it must be about this site's own log."""

import pytest

from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.witnesses.ask import ask_again, ask_anew, ask_witnesses
from datasites.witnesses.cosignatures import cosigned_notes
from datasites.witnesses.hear import is_set_back, unconfirmed
from datasites.witnesses.recover import recover
from policies.errors import InvalidInputError, NotAuthenticError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import cosign
from policies.log.entries import MessageGap
from policies.log.journal import append, tree_head
from policies.log.merkle import TreeHead, verify_consistency
from policies.log.witness import head_of
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


@pytest.mark.both_databases
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


@pytest.mark.both_databases
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


def test_a_witness_that_was_shown_another_checkpoint_is_shown_that_this_log_continues_it(
    scene: Scene, parties: tuple[str, str]
) -> None:
    witness = parties[0]
    kept = ask(scene, witness)[witness]
    scene.hear(witness, echo(kept))
    grow(scene)
    rival = ask(scene, parties[1])[parties[1]]
    grow(scene)
    asked = ask(scene, witness)[witness]
    waits = {"checkpoint": kept.checkpoint, "balance": kept.balance, "rival": rival.checkpoint}
    assert scene.hear(witness, WitnessReply(nonce=asked.nonce, **waits))
    asked = scene.questions()[witness]
    head, other = (head_of(scene.site.identity.card, it) for it in (asked.checkpoint, rival.checkpoint))
    verify_consistency(other, head, [bytes.fromhex(it) for it in asked.rival_proof])
    assert asked.rival_from == other.size
    assert not scene.hear(witness, WitnessReply(nonce=asked.nonce, **waits)), "it was shown, and is not shown again"
    assert scene.questions() == {}
    assert scene.hear(witness, echo(asked))
    assert ask(scene, witness)[witness].rival_from == 0


@pytest.mark.both_databases
def test_another_checkpoint_that_this_log_does_not_continue_tells_that_its_disk_was_set_back(
    scene: Scene, parties: tuple[str, str]
) -> None:
    """Whoever keeps it may never answer: its word reaches this site by another witness, and its owner can settle it."""
    witness, card = parties[0], scene.site.identity.card
    kept = ask(scene, witness)[witness]
    scene.hear(witness, echo(kept))
    assert scene.site.identity.log is not None
    lost = sign_checkpoint(
        scene.site.identity.log, Checkpoint(log_origin(card.party), TreeHead(99, bytes(32)))
    ).decode()
    grow(scene)
    asked = ask(scene, witness)[witness]
    reply = WitnessReply(nonce=asked.nonce, checkpoint=kept.checkpoint, balance=kept.balance, rival=lost)
    assert not scene.hear(witness, reply)
    with scene.site.engine.begin() as connection:
        assert is_set_back(connection)
        recover(connection, scene.site, scene.owner_key, scene.now)
        assert not is_set_back(connection)
    asked = scene.questions()[witness]
    assert asked.recovery is not None
    assert not scene.hear(witness, reply.model_copy(update={"nonce": asked.nonce}))
    with scene.site.engine.begin() as connection:
        assert not is_set_back(connection), "what the owner gave up once stays given up"
    assert scene.audit().broken == []


@pytest.mark.both_databases
def test_a_cosignature_is_kept_if_it_is_the_witness_own_and_none_that_is_shorter_takes_its_place(
    scene: Scene, parties: tuple[str, str]
) -> None:
    bern, cadiz = scene.partners
    asked = ask(scene, bern.party)[bern.party]
    note = asked.checkpoint.encode()
    foreign = cosign(cadiz.cosigning, bern.party, note, 5).decode()
    scene.hear(bern.party, echo(asked).model_copy(update={"checkpoint": foreign}))
    assert cosigned(scene) == {}
    asked = ask(scene, bern.party)[bern.party]
    forged = cosign(bern.cosigning, bern.party, note, 5).decode()[:-6] + "AAA=\n"
    with pytest.raises((InvalidInputError, NotAuthenticError)):
        scene.hear(bern.party, echo(asked).model_copy(update={"checkpoint": forged}))
    honest = cosign(bern.cosigning, bern.party, asked.checkpoint.encode(), 5).decode()
    scene.hear(bern.party, echo(asked).model_copy(update={"checkpoint": honest}))
    (size,) = cosigned(scene)
    grow(scene)
    later = ask(scene, bern.party)[bern.party]
    scene.hear(bern.party, echo(later).model_copy(update={"checkpoint": honest}))
    assert list(cosigned(scene)) == [size]


def test_a_researcher_that_holds_what_this_log_does_not_continue_stops_nothing(scene: Scene) -> None:
    """It may hold a checkpoint of a lost history, and would choose when to show it."""
    ada, card = scene.researcher, scene.site.identity.card
    assert scene.site.identity.log is not None
    elsewhere = Checkpoint(log_origin(card.party), TreeHead(99, bytes(32)))
    lost = sign_checkpoint(scene.site.identity.log, elsewhere).decode()
    asked = ask(scene, ada.party)[ada.party]
    assert not scene.hear(ada.party, echo(asked).model_copy(update={"checkpoint": lost}))
    assert scene.hear(ada.party, echo(asked).model_copy(update={"rival": lost}))
    with scene.site.engine.begin() as connection:
        assert not is_set_back(connection)


def cosigned(scene: Scene) -> dict[int, bytes]:
    with scene.site.engine.begin() as connection:
        return cosigned_notes(connection)
