"""Being a witness: a checkpoint is kept only if it is shown to continue the one before, or the owner gave that up."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, select

from datasites.protocol.identity import Identity
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import parse_message
from datasites.store.peers import pin
from datasites.store.tables import metadata, outbox, witnessed
from datasites.witnesses.histories import is_accused
from datasites.witnesses.keep import keep_checkpoint
from policies.errors import NotAuthenticError, RefusedError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.cosignature import cosigned_at
from policies.log.journal import entries
from policies.log.merkle import consistency_proof, leaf_hash, tree_head
from policies.log.recovery import LostHead, Recovery, SignedRecovery, sign_recovery
from policies.log.witness_entries import RecoveryTaken

OWNER = Ed25519PrivateKey.generate()
with TemporaryDirectory() as folder:
    WITNESS = Identity.create(Path(folder) / "keys", "dresden", "datasite", bytes(range(32)))
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
FORK = [*LEAVES[:10], *(leaf_hash(b"fork" + bytes([number])) for number in range(30))]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder = tmp_path_factory.mktemp("watched")
    return Identity.create(folder / "keys", "clinic-a", "datasite", OWNER.public_key().public_bytes_raw())


class Keeper:
    """A witness over a database in memory."""

    def __init__(self, watched: Identity) -> None:
        self.watched = watched
        engine = create_engine("sqlite://")
        metadata.create_all(engine)
        self.connection: Connection = engine.connect()
        pin(self.connection, watched.card, 1)

    def ask(
        self, leaves: list[bytes], proof_from: int = 0, recovery: SignedRecovery | None = None, balance: str = "ab" * 40
    ) -> WitnessReply:
        request = WitnessRequest(
            nonce="0f" * 16,
            checkpoint=note(self.watched, leaves),
            proof_from=proof_from,
            proof=tuple(it.hex() for it in consistency_proof(leaves, proof_from)) if proof_from else (),
            balance=balance,
            recovery=recovery,
        )
        keep_checkpoint(self.connection, WITNESS, self.watched.card, request, 2)
        reply = parse_message(self.connection.execute(select(outbox.c.message)).scalar_one().encode())
        self.connection.execute(delete(outbox))
        assert isinstance(reply, WitnessReply)
        assert reply.nonce == request.nonce
        return reply


def note(watched: Identity, leaves: list[bytes]) -> str:
    assert watched.log is not None
    return sign_checkpoint(watched.log, Checkpoint(log_origin(watched.party), tree_head(leaves))).decode()


def plain(reply: WitnessReply) -> str:
    """The checkpoint without its cosignature."""
    return "".join(reply.checkpoint.splitlines(keepends=True)[:-1])


def recovery(watched: Identity, *lost: list[bytes], key: Ed25519PrivateKey = OWNER, at: int = 1) -> SignedRecovery:
    heads = tuple(LostHead.of(tree_head(leaves)) for leaves in lost)
    return sign_recovery(key, Recovery(version="cloister-recovery/1", site=watched.party, lost=heads, recovered_at=at))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.booleans()), max_size=12))
def test_under_any_sequence_of_questions_only_continuations_are_kept(
    watched: Identity, questions: list[tuple[int, int, bool]]
) -> None:
    keeper, kept, known, accused = Keeper(watched), list[bytes](), dict[int, list[bytes]](), False
    for size, proof_from, forked in questions:
        leaves = (FORK if forked else LEAVES)[:size]
        reply = keeper.ask(leaves, min(proof_from, size))
        accused |= known.get(size, leaves) != leaves
        if not kept or (leaves[: len(kept)] == kept and len(leaves) > len(kept) == proof_from):
            kept = known[size] = leaves
        assert plain(reply) == note(watched, kept)
        assert cosigned_at(reply.checkpoint.encode(), WITNESS.card.cosigning_key) == 2
        assert is_accused(keeper.connection, watched.party) == accused


def test_the_balance_that_came_with_what_is_kept_is_given_back(watched: Identity) -> None:
    keeper = Keeper(watched)
    assert keeper.ask(LEAVES[:20], balance="01" * 40).balance == "01" * 40
    assert keeper.ask(LEAVES[:15], balance="02" * 40).balance == "01" * 40
    assert keeper.ask(FORK[:25], 20, balance="03" * 40).balance == "01" * 40
    assert keeper.ask(LEAVES[:25], 20, balance="04" * 40).balance == "04" * 40


def test_a_fork_is_followed_only_if_the_owner_gave_up_exactly_what_is_kept(watched: Identity) -> None:
    keeper, line, fork = Keeper(watched), LEAVES[:20], FORK[:25]
    keeper.ask(line)
    assert plain(keeper.ask(fork, recovery=recovery(watched, LEAVES[:19]))) == note(watched, line)
    with pytest.raises(NotAuthenticError, match="another owner key"):
        keeper.ask(fork, recovery=recovery(watched, line, key=Ed25519PrivateKey.generate()))
    given_up = recovery(watched, LEAVES[:19], line)
    assert plain(keeper.ask(fork, recovery=given_up)) == note(watched, fork)
    assert plain(keeper.ask(line, recovery=given_up)) == note(watched, fork), "the same word replayed moves nothing"


def test_an_older_recovery_that_is_replayed_takes_no_newer_ones_place(watched: Identity) -> None:
    keeper, line, fork, newest = Keeper(watched), LEAVES[:20], FORK[:25], LEAVES[:30]
    older, newer = recovery(watched, line), recovery(watched, line, fork, at=2)
    for leaves, word in ((line, None), (fork, older), (newest, newer)):
        assert plain(keeper.ask(leaves, recovery=word)) == note(watched, leaves)
    assert plain(keeper.ask(fork, recovery=older)) == note(watched, newest)
    stored = keeper.connection.execute(select(witnessed.c.recovery)).scalar_one()
    assert stored == newer.canonical().decode()
    taken = [it.signed for _, it in entries(keeper.connection) if isinstance(it, RecoveryTaken)]
    assert taken == [older, newer]


def test_a_recovery_of_another_site_or_changed_is_refused(watched: Identity) -> None:
    keeper = Keeper(watched)
    keeper.ask(LEAVES)
    signed = recovery(watched, LEAVES)
    foreign = signed.recovery.model_copy(update={"site": "ab" * 32})
    later = signed.recovery.model_copy(update={"recovered_at": 9})
    for bad in (sign_recovery(OWNER, foreign), signed.model_copy(update={"recovery": later})):
        with pytest.raises(NotAuthenticError):
            keeper.ask(FORK, recovery=bad)


def test_a_checkpoint_by_another_key_and_one_of_a_researcher_are_refused(watched: Identity, tmp_path: Path) -> None:
    keeper = Keeper(watched)
    stranger = Identity.create(tmp_path / "keys", "bern", "datasite", bytes(32))
    request = WitnessRequest(
        nonce="0f" * 16, checkpoint=note(stranger, LEAVES), proof_from=0, proof=(), balance="ab" * 40, recovery=None
    )
    with pytest.raises(NotAuthenticError, match="another log"):
        keep_checkpoint(keeper.connection, WITNESS, watched.card, request, 2)
    ada = Identity.create(tmp_path / "ada", "ada", "researcher")
    with pytest.raises(RefusedError, match="Only a datasite"):
        keep_checkpoint(keeper.connection, WITNESS, ada.card, request, 2)
