"""The researcher as a witness: it keeps what continues, cosigns it, and hands out evidence of two histories."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from datasites.protocol.envelope import open_envelope
from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import cosigned_at
from policies.log.merkle import consistency_proof, leaf_hash, tree_head
from researcher.state import State
from researcher.witness import save_checkpoints
from tests.researcher.test_correspondence import Desk

LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
FORK = [*LEAVES[:10], *(leaf_hash(b"fork" + bytes([number])) for number in range(30))]


REQUEST = {"proof_from": 0, "proof": (), "balance": "ab" * 40, "recovery": None}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def note(site: Identity, leaves: Sequence[bytes]) -> str:
    assert site.log is not None
    return sign_checkpoint(site.log, Checkpoint(log_origin(site.party), tree_head(leaves))).decode()


def ask(desk: Desk, site: Identity, number: int, leaves: Sequence[bytes], proof_from: int = 0) -> WitnessReply | None:
    """The site asks; what the researcher answers once it looks at its mail, or None."""
    request = WitnessRequest(
        nonce=f"{number:032x}",
        checkpoint=note(site, leaves),
        proof_from=proof_from,
        proof=tuple(it.hex() for it in consistency_proof(leaves, proof_from)) if proof_from else (),
        balance="ab" * 40,
        recovery=None,
    )
    desk.writes(site, number, request)
    before = len(desk.relay.sent)
    desk.letters.listen(0)
    sent = desk.relay.sent[before:]
    if not sent:
        return None
    (envelope,) = sent
    reply = open_envelope(site, envelope, {desk.ada.party: desk.ada.card}.get).message
    assert isinstance(reply, WitnessReply)
    assert reply.nonce == request.nonce
    return reply


def kept(reply: WitnessReply | None, desk: Desk) -> str:
    assert reply is not None
    assert cosigned_at(reply.checkpoint.encode(), desk.ada.card.cosigning_key) is not None
    return "".join(reply.checkpoint.splitlines(keepends=True)[:-1])


def test_it_keeps_and_cosigns_what_continues_and_nothing_else(desk: Desk) -> None:
    bern = desk.bern
    assert kept(ask(desk, bern, 1, LEAVES[:20]), desk) == note(bern, LEAVES[:20])
    assert kept(ask(desk, bern, 2, LEAVES[:30], 20), desk) == note(bern, LEAVES[:30])
    for number, (leaves, proof_from) in enumerate(((LEAVES[:25], 20), (FORK[:35], 10), (LEAVES[:35], 20)), start=3):
        assert kept(ask(desk, bern, number, leaves, proof_from), desk) == note(bern, LEAVES[:30])


def test_a_note_full_of_strangers_lines_stops_no_mail_and_is_kept_without_them(desk: Desk) -> None:
    """Some lines more, and the answer would be longer than a letter may say: the client must not choke on it."""
    genuine = note(desk.bern, LEAVES[:20])
    junk = "".join(f"— stranger-{number} {'A' * 92}\n" for number in range(6))
    desk.writes(desk.bern, 1, WitnessRequest(**REQUEST, nonce="1" * 32, checkpoint=genuine + junk))
    desk.letters.listen(0)
    assert kept(ask(desk, desk.bern, 2, LEAVES[:20]), desk) == genuine


def test_it_remembers_after_its_kernel_restarted(desk: Desk) -> None:
    ask(desk, desk.bern, 1, LEAVES[:30])
    desk.state.close()
    desk.state = State(desk.state_file)
    desk.letters = desk.open()
    assert kept(ask(desk, desk.bern, 2, FORK[:35], 10), desk) == note(desk.bern, LEAVES[:30])


def test_an_answer_that_the_relay_does_not_take_is_dropped_and_stops_nothing(desk: Desk) -> None:
    desk.relay.down = True
    assert ask(desk, desk.bern, 1, LEAVES[:20]) is None
    desk.relay.down = False
    assert kept(ask(desk, desk.bern, 2, LEAVES[:30], 20), desk) == note(desk.bern, LEAVES[:30])


def test_a_site_cannot_have_another_sites_log_kept_as_its_own(desk: Desk) -> None:
    desk.writes(
        desk.bern,
        1,
        WitnessRequest(
            nonce="0f" * 16,
            checkpoint=note(desk.cadiz, LEAVES),
            proof_from=0,
            proof=(),
            balance="ab" * 40,
            recovery=None,
        ),
    )
    desk.letters.listen(0)
    assert desk.relay.sent == []


def test_two_histories_are_kept_as_evidence_and_handed_out(desk: Desk, tmp_path: Path) -> None:
    ask(desk, desk.bern, 1, LEAVES[:20])
    ask(desk, desk.bern, 2, FORK[:20])
    files = {
        it.name.split("-")[1]: it.read_text() for it in save_checkpoints(desk.state, desk.ada, tmp_path / "out", 9)
    }
    assert files["first.checkpoint"] == note(desk.bern, LEAVES[:20])
    assert files["second.checkpoint"] == note(desk.bern, FORK[:20])
    assert cosigned_at(files["kept.checkpoint"].encode(), desk.ada.card.cosigning_key) == 9
