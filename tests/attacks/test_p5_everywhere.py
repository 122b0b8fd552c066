"""P5 at every place: no entry replaced, moved, doubled or taken away, and no bit of a checkpoint changed, unnoticed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.errors import CloisterError
from policies.log import entries as log
from policies.log import merkle
from policies.log.bundle import write_bundle
from policies.log.checkpoint import Checkpoint, log_origin, open_checkpoint, sign_checkpoint
from policies.log.verify import Pinned, verify_bundle
from tests.attacks.honest_log import FACTS, HONEST, LOG, OWNER, PINNED, Entries, note
from tests.one_site import Scene, new_scene

LOG_KEY = LOG.public_key().public_bytes_raw()
CHANGES: dict[str, Callable[[Entries, int], Entries]] = {
    "taken away": lambda entries, place: entries[:place] + entries[place + 1 :],
    "replaced by another entry": lambda entries, place: [*entries[:place], PINNED, *entries[place + 1 :]],
    "dated otherwise": lambda entries, place: [
        *entries[:place],
        entries[place].model_copy(update={"at": entries[place].at + 1}),
        *entries[place + 1 :],
    ],
    "said twice": lambda entries, place: [*entries[: place + 1], *entries[place:]],
    "moved to the end": lambda entries, place: [*entries[:place], *entries[place + 1 :], entries[place]],
    "followed by nothing": lambda entries, place: entries[:place],
    "swapped with the next": lambda entries, place: [
        *entries[:place],
        *entries[place + 1 : place + 2],
        entries[place],
        *entries[place + 2 :],
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_at_any_place_cannot_be(change: str) -> None:
    """The checkpoint was signed over the honest log; whoever carries the bundle changes one entry."""
    signed = note(HONEST)
    for place in range(len(HONEST)):
        changed = CHANGES[change](HONEST, place)
        if changed != HONEST:
            report = verify_bundle(bundle(changed, signed), Pinned(LOG_KEY))
            assert [it.position for it in report.broken][:1] == [None], place


def test_every_bit_of_a_checkpoint_counts() -> None:
    """Its three lines, the blank one, the dash, the name, the key's id and the signature, spelled one way only."""
    honest, origin = note(HONEST), log_origin(FACTS.site)
    open_checkpoint(honest, origin, LOG_KEY)
    taken = []
    for place in range(len(honest)):
        for bit in range(8):
            damaged = honest[:place] + bytes([honest[place] ^ 1 << bit]) + honest[place + 1 :]
            try:
                open_checkpoint(damaged, origin, LOG_KEY)
            except CloisterError:
                continue
            taken.append((place, bit))
    assert taken == []


def test_a_log_of_the_same_owner_from_another_site_does_not_pass_for_this_ones() -> None:
    """Two sites restored from one backup share their keys: the checkpoint's name still says whose log it is."""
    other = sign_checkpoint(LOG, Checkpoint(log_origin("77" * 32), head(HONEST)))
    assert verify_bundle(bundle(HONEST, other), Pinned(LOG_KEY)).broken
    assert not verify_bundle(bundle(HONEST, note(HONEST)), Pinned(LOG_KEY)).broken


def test_a_checkpoint_of_another_moment_of_the_same_log_does_not_serve() -> None:
    """An earlier one would let the newest entries be left out; both are genuine."""
    for size in range(len(HONEST)):
        assert verify_bundle(bundle(HONEST, note(HONEST[:size])), Pinned(LOG_KEY)).broken


def test_a_log_that_forks_after_a_checkpoint_cannot_be_shown_to_whoever_holds_it() -> None:
    """Two auditors, two histories, both signed: the one who kept an earlier checkpoint sees it, from any size on."""
    fork = [*HONEST[:3], log.MessageGap(at=12, sender="11" * 32, expected=1, got=2), *HONEST[3:]]
    for size in range(4, len(HONEST) + 1):
        kept = Pinned(LOG_KEY, OWNER.public_key().public_bytes_raw(), (note(HONEST[:size]),))
        assert any("rewritten" in it.reason for it in verify_bundle(bundle(fork, note(fork)), kept).broken)


def test_an_inner_node_cannot_be_passed_off_as_an_entry() -> None:
    """A second pre-image: two leaves' hashes written as one entry would give the same root for a shorter log."""
    entries = [entry.canonical() for entry in HONEST[:4]]
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    pairs = [leaves[0] + leaves[1], leaves[2] + leaves[3]]
    assert merkle.tree_head(merkle.leaf_hash(pair) for pair in pairs).root != merkle.tree_head(leaves).root


def test_the_last_entry_doubled_does_not_give_the_same_root() -> None:
    """As in trees that fill an odd level by repeating its last node (CVE-2012-2459)."""
    leaves = [merkle.leaf_hash(entry.canonical()) for entry in HONEST]
    for size in range(1, len(leaves)):
        roots = {merkle.tree_head([*leaves[:size], *leaves[size - more : size]]).root for more in range(size + 1)}
        assert len(roots) == size + 1


def test_an_entry_changed_in_the_database_is_found_at_any_position(tmp_path: Path) -> None:
    """The row keeps the hash that it had; the export carries both to the auditor."""
    scene = new_scene(tmp_path)
    scene.compute(scene.ready(), 1)
    assert scene.audit().broken == []
    for position in range(scene.count("log_entries")):
        before = entry_at(scene, position)
        put(scene, position, before.replace(b'"at":1', b'"at":2', 1))
        assert [it for it in scene.audit().broken if it.position is None], position
        put(scene, position, before)
    assert scene.audit().broken == []


def entry_at(scene: Scene, position: int) -> bytes:
    with scene.site.engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT entry FROM log_entries WHERE position = ?", (position,))
        return bytes(found.scalar_one())


def put(scene: Scene, position: int, entry: bytes) -> None:
    scene.tamper("UPDATE log_entries SET entry = :entry WHERE position = :position", entry=entry, position=position)


def head(entries: Entries) -> merkle.TreeHead:
    return merkle.tree_head(merkle.leaf_hash(entry.canonical()) for entry in entries)


def bundle(entries: Entries, signed: bytes) -> bytes:
    return write_bundle(FACTS, signed, [entry.canonical() for entry in entries])
