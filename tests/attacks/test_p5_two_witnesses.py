"""Attacks on P5: a site shows one history of its log to one witness and another to the next, who talk to each other."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import parse_message
from datasites.store.tables import outbox
from datasites.witnesses.export import held_of_others
from datasites.witnesses.gossip import compare, seen_with
from datasites.witnesses.histories import is_accused, settle
from datasites.witnesses.keep import keep_checkpoint
from policies.errors import InvalidInputError, RefusedError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.entries import LogEntry
from policies.log.journal import entries
from policies.log.merkle import consistency_proof, leaf_hash, tree_head
from policies.log.recovery import LostHead, Recovery, SignedRecovery, sign_recovery
from policies.log.witness_entries import HistoriesSettled, TwoHistories
from tests.one_site import Scene, new_scene
from tests.site_folder import PARTNERS_OWNER_KEY

LEAVES = [leaf_hash(bytes([number])) for number in range(60)]
FORK = [*LEAVES[:10], *(leaf_hash(b"fork" + bytes([number])) for number in range(50))]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """This site is a witness of its partner bern, which shares a study with it; cadiz is bern's other witness."""
    made = new_scene(tmp_path)
    made.ready()
    made.send_all()
    return made


def note(site: Identity, leaves: Sequence[bytes]) -> str:
    assert site.log is not None
    return sign_checkpoint(site.log, Checkpoint(log_origin(site.party), tree_head(leaves))).decode()


def ask(
    scene: Scene,
    leaves: Sequence[bytes],
    proof_from: int = 0,
    rival_from: int = 0,
    recovery: SignedRecovery | None = None,
) -> WitnessReply:
    """Bern asks this site to keep its log as it is at these leaves."""
    bern = scene.partners[0]

    def proof(size: int) -> tuple[str, ...]:
        return tuple(it.hex() for it in consistency_proof(leaves, size)) if size else ()

    request = WitnessRequest(
        nonce="0f" * 16,
        checkpoint=note(bern, leaves),
        proof_from=proof_from,
        proof=proof(proof_from),
        rival_from=rival_from,
        rival_proof=proof(rival_from),
        balance="ab" * 40,
        recovery=recovery,
    )
    with scene.site.engine.begin() as connection:
        keep_checkpoint(connection, scene.site.identity, bern.card, request, scene.now)
        text = connection.execute(select(outbox.c.message).order_by(outbox.c.id.desc()).limit(1)).scalar_one()
    reply = parse_message(text.encode())
    assert isinstance(reply, WitnessReply)
    return reply


def keeps(scene: Scene, leaves: Sequence[bytes]) -> bool:
    with scene.site.engine.begin() as connection:
        (held,) = [it for it in held_of_others(connection, scene.site) if it.standing == "kept"]
    return held.note.startswith(note(scene.partners[0], leaves).encode())


def hear_of(scene: Scene, *notes: str) -> None:
    """Cadiz shows what it keeps of bern's log."""
    with scene.site.engine.begin() as connection:
        compare(connection, scene.site.identity.party, notes, scene.now)


def accused(scene: Scene) -> bool:
    with scene.site.engine.begin() as connection:
        return is_accused(connection, scene.partners[0].party)


def logged(scene: Scene, *kinds: type[LogEntry]) -> list[LogEntry]:
    with scene.site.engine.begin() as connection:
        return [entry for _, entry in entries(connection) if isinstance(entry, kinds)]


def test_one_size_with_two_roots_is_evidence_that_is_kept_logged_and_handed_out(scene: Scene) -> None:
    bern = scene.partners[0]
    ask(scene, LEAVES[:30])
    hear_of(scene, note(bern, FORK[:30]))
    assert accused(scene)
    (entry,) = logged(scene, TwoHistories)
    assert isinstance(entry, TwoHistories)
    assert (entry.site, entry.first, entry.second) == (bern.party, note(bern, LEAVES[:30]), note(bern, FORK[:30]))
    hear_of(scene, note(bern, FORK[:30]))
    assert len(logged(scene, TwoHistories)) == 1
    with scene.site.engine.begin() as connection:
        held = {it.standing: it.note.decode() for it in held_of_others(connection, scene.site)}
    assert (held["first"], held["second"]) == (entry.first, entry.second)
    report = scene.audit()
    assert report.broken == []
    assert any("has two histories" in sentence for sentence in report.not_proved)


def test_an_earlier_checkpoint_than_the_newest_is_compared_as_well(scene: Scene) -> None:
    ask(scene, LEAVES[:20])
    ask(scene, LEAVES[:40], proof_from=20)
    hear_of(scene, note(scene.partners[0], LEAVES[:20]))
    assert not accused(scene)
    hear_of(scene, note(scene.partners[0], FORK[:20]))
    assert accused(scene)


@pytest.mark.parametrize("size", [25, 35])
def test_a_history_of_another_size_has_to_be_proved_before_anything_more_is_kept(scene: Scene, size: int) -> None:
    """A liar never shows two witnesses the same size; but then it can prove to neither what the other one keeps."""
    ask(scene, LEAVES[:30])
    rival = note(scene.partners[0], FORK[:size])
    hear_of(scene, rival)
    for longer in (LEAVES[:40], LEAVES[:50]):
        reply = ask(scene, longer, proof_from=30, rival_from=size)
        assert reply.rival == rival
        assert keeps(scene, LEAVES[:30])
    with scene.site.engine.begin() as connection:
        held = [it.standing for it in held_of_others(connection, scene.site)]
    assert "unproved" in held


@pytest.mark.parametrize("size", [25, 35])
def test_an_honest_site_proves_what_others_keep_of_it(scene: Scene, size: int) -> None:
    ask(scene, LEAVES[:30])
    hear_of(scene, note(scene.partners[0], LEAVES[:size]))
    assert ask(scene, LEAVES[:40], proof_from=30).rival is not None
    assert keeps(scene, LEAVES[:30])
    assert ask(scene, LEAVES[:41], proof_from=30, rival_from=size).rival is None
    assert keeps(scene, LEAVES[:41])
    assert not accused(scene)


def test_nothing_is_run_with_a_site_of_two_histories_until_it_is_explained(scene: Scene) -> None:
    request = scene.approved("2" * 32)
    ask(scene, LEAVES[:30])
    hear_of(scene, note(scene.partners[0], FORK[:30]))
    with pytest.raises(RefusedError, match="two histories"):
        scene.start(request)
    with pytest.raises(RefusedError, match="two histories"):
        scene.ask(scene.request(scene.terms().digest()), 1)
    with scene.site.engine.begin() as connection:
        settle(connection, scene.partners[0].card, "A copy of its machine ran by mistake.", scene.now)
    scene.start(request)
    assert len(logged(scene, HistoriesSettled)) == 1
    assert scene.audit().broken == []
    with pytest.raises(InvalidInputError, match="not known"), scene.site.engine.begin() as connection:
        settle(connection, scene.partners[0].card, "Again.", scene.now)


def test_a_round_that_waits_is_not_charged_once_a_partner_is_found_out(scene: Scene) -> None:
    request = scene.request(scene.terms().digest())
    assert scene.ask(request, 1)
    ask(scene, LEAVES[:30])
    hear_of(scene, note(scene.partners[0], FORK[:30]))
    before = scene.balance()
    assert scene.charge() is None
    assert scene.balance() == before


def test_an_owner_who_signs_the_lost_history_away_settles_it(scene: Scene) -> None:
    """A disk that was set back looks like a lie until its owner says so, in a word that stands in its log."""
    bern = scene.partners[0]
    ask(scene, LEAVES[:30])
    ask(scene, FORK[:30])
    assert accused(scene)
    lost = Recovery(
        version="cloister-recovery/1", site=bern.party, lost=(LostHead.of(tree_head(LEAVES[:30])),), recovered_at=1
    )
    ask(scene, FORK[:35], recovery=sign_recovery(PARTNERS_OWNER_KEY, lost))
    assert not accused(scene)
    assert keeps(scene, FORK[:35])
    hear_of(scene, note(bern, LEAVES[:30]))
    hear_of(scene, note(bern, LEAVES[:25]))
    assert not accused(scene), "whoever was not reached yet still shows what was lost"
    assert ask(scene, FORK[:40], proof_from=35).rival is None
    assert keeps(scene, FORK[:40])


def test_nobody_can_accuse_a_site_with_what_it_did_not_sign(scene: Scene) -> None:
    bern, cadiz = scene.partners
    ask(scene, LEAVES[:30])
    forged = note(bern, FORK[:30]).splitlines(keepends=True)
    stolen = note(cadiz, FORK[:30]).splitlines(keepends=True)[-1].replace(cadiz.party, bern.party)
    hear_of(scene, "".join([*forged[:-1], stolen]))
    hear_of(scene, note(bern, FORK[:30]).replace("\n30\n", "\n31\n"))
    hear_of(scene, note(cadiz, FORK[:30]), note(scene.site.identity, FORK[:3]))
    assert not accused(scene)
    assert logged(scene, TwoHistories) == []


def test_what_is_kept_is_shown_to_those_of_the_same_study_alone(scene: Scene) -> None:
    ask(scene, LEAVES[:30])
    with scene.site.engine.begin() as connection:
        assert seen_with(connection, scene.partners[1].party) == (note(scene.partners[0], LEAVES[:30]),)
        assert seen_with(connection, scene.partners[0].party) == ()
        assert seen_with(connection, scene.researcher.party) == ()
