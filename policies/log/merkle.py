"""Merkle tree hashing and its proofs, as in Certificate Transparency (RFC 6962, section 2.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from policies.errors import NotAuthenticError

HASH_BYTES = 32


@dataclass(frozen=True)
class TreeHead:
    """A log at one instant: how many entries it has and the root hash (32 bytes) over them."""

    size: int
    root: bytes


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry; the prefix keeps leaves and inner nodes apart."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node over its children's hashes."""
    return sha256(b"\x01" + left + right).digest()


def tree_head(leaf_hashes: Iterable[bytes]) -> TreeHead:
    """Size and root of the tree over `leaf_hashes`, in one pass and logarithmic memory."""
    size, peaks = 0, list[bytes]()
    for leaf in leaf_hashes:
        node, complete = leaf, size
        while complete & 1:
            node = node_hash(peaks.pop(), node)
            complete >>= 1
        peaks.append(node)
        size += 1
    if not peaks:
        return TreeHead(0, sha256(b"").digest())
    root = peaks.pop()
    while peaks:
        root = node_hash(peaks.pop(), root)
    return TreeHead(size, root)


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` (from 0), from the leaf upwards (section 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise ValueError(f"the tree has {len(leaf_hashes)} leaves, so it has no leaf {index}")
    start, end, path = 0, len(leaf_hashes), list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(tree_head(leaf_hashes[middle:end]).root)
            end = middle
        else:
            path.append(tree_head(leaf_hashes[start:middle]).root)
            start = middle
    return path[::-1]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the tree of the first `old_size` leaves is a beginning of this one (section 2.1.2).

    Raises:
        ValueError: `old_size` is not between 1 and the size of this tree.
    """
    if not 1 <= old_size <= len(leaf_hashes):
        raise ValueError(f"the tree has {len(leaf_hashes)} leaves, so it has no beginning of {old_size}")
    start, end, path = 0, len(leaf_hashes), list[bytes]()
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(tree_head(leaf_hashes[middle:end]).root)
            end = middle
        else:
            path.append(tree_head(leaf_hashes[start:middle]).root)
            start = middle
    if start > 0:
        path.append(tree_head(leaf_hashes[start:end]).root)
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, head: TreeHead, proof: Sequence[bytes]) -> None:
    """Check that `leaf` is the hash of entry `index` (from 0) of the tree `head` (RFC 9162, section 2.1.3.2).

    Raises:
        NotAuthenticError: the proof does not show it.
    """
    if not 0 <= index < head.size or any(len(node) != HASH_BYTES for node in proof):
        raise NotAuthenticError("The inclusion proof does not belong to a tree of this size.")
    node, place, last = leaf, index, head.size - 1
    for sibling in proof:
        if last == 0:
            raise NotAuthenticError("The inclusion proof is longer than the tree is high.")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0 or node != head.root:
        raise NotAuthenticError("The inclusion proof does not lead to the root of this tree.")


def verify_consistency(old: TreeHead, new: TreeHead, proof: Sequence[bytes]) -> None:
    """Check that the tree `old` is a beginning of the tree `new` (RFC 9162, section 2.1.4.2).

    Raises:
        NotAuthenticError: the proof does not show it: entries were removed or changed, or the proof is not for these.
    """
    if not 0 < old.size <= new.size or any(len(node) != HASH_BYTES for node in proof):
        raise NotAuthenticError("The consistency proof does not belong to trees of these sizes.")
    if old.size == new.size:
        if proof or old.root != new.root:
            raise NotAuthenticError("Two trees of one size have different roots: the log shows two histories.")
        return
    place, last = old.size - 1, new.size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    nodes = list(proof) if place else [old.root, *proof]
    if not nodes:
        raise NotAuthenticError("The consistency proof is empty.")
    old_node = new_node = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise NotAuthenticError("The consistency proof is longer than the tree is high.")
        if place & 1 or place == last:
            old_node, new_node = node_hash(node, old_node), node_hash(node, new_node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_node = node_hash(new_node, node)
        place, last = place >> 1, last >> 1
    if last != 0 or old_node != old.root or new_node != new.root:
        raise NotAuthenticError("The consistency proof does not lead from the one root to the other.")


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
