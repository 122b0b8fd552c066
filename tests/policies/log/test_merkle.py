"""Merkle tree: the Certificate Transparency vectors, a slow reference, and proofs that must not be bent."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import NotAuthenticError
from policies.log.merkle import (
    TreeHead,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_head,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


def reference_root(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\x01" + reference_root(entries[:split]) + reference_root(entries[split:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert tree_head(LEAVES[:size]) == TreeHead(size, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (
            0,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ],
)
def test_the_published_inclusion_proofs(index: int, size: int, path: list[str]) -> None:
    assert [node.hex() for node in inclusion_proof(LEAVES[:size], index)] == path


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (1, 1, []),
        (
            2,
            5,
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (
            6,
            8,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ],
)
def test_the_published_consistency_proofs(old: int, new: int, path: list[str]) -> None:
    assert [node.hex() for node in consistency_proof(LEAVES[:new], old)] == path


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_the_reference_root(entries: list[bytes]) -> None:
    assert tree_head(map(leaf_hash, entries)).root == reference_root(entries)


def test_every_proof_of_small_trees_verifies_and_only_for_its_own_place() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(21)]
    heads = [tree_head(leaves[:size]) for size in range(22)]
    for size in range(1, 22):
        for index in range(size):
            proof = inclusion_proof(leaves[:size], index)
            verify_inclusion(leaves[index], index, heads[size], proof)
            for wrong in {index - 1, index + 1, size} - {index}:
                with pytest.raises(NotAuthenticError):
                    verify_inclusion(leaves[index], wrong, heads[size], proof)
        for old in range(1, size + 1):
            proof = consistency_proof(leaves[:size], old)
            verify_consistency(heads[old], heads[size], proof)
            if old < size:
                with pytest.raises(NotAuthenticError):
                    verify_consistency(TreeHead(old, heads[size].root), heads[size], proof)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_proof_changed_anywhere_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 33))
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    head, old_head = tree_head(leaves), tree_head(leaves[:old])
    inclusion, consistency = inclusion_proof(leaves, index), consistency_proof(leaves, old)
    for proof in (inclusion, consistency):
        place = data.draw(st.integers(0, len(proof) - 1))
        change = data.draw(st.sampled_from(["flip", "drop", "double", "extend", "shorten"]))
        node = proof[place]
        replacement = {
            "flip": [bytes([node[0] ^ 1]) + node[1:]],
            "drop": [],
            "double": [node, node],
            "extend": [node, b"\x00" * 32],
            "shorten": [node[:-1]],
        }[change]
        proof[place : place + 1] = replacement
    with pytest.raises(NotAuthenticError):
        verify_inclusion(leaves[index], index, head, inclusion)
    with pytest.raises(NotAuthenticError):
        verify_consistency(old_head, head, consistency)


def test_a_rewritten_history_has_no_consistency_proof() -> None:
    honest = [leaf_hash(bytes([number])) for number in range(9)]
    rewritten = [leaf_hash(b"other"), *honest[1:], leaf_hash(b"new")]
    for old in range(1, 10):
        with pytest.raises(NotAuthenticError):
            verify_consistency(tree_head(honest[:old]), tree_head(rewritten), consistency_proof(rewritten, old))


def test_two_heads_of_one_size_must_be_the_same() -> None:
    with pytest.raises(NotAuthenticError, match="two histories"):
        verify_consistency(tree_head(LEAVES[:4]), tree_head(LEAVES[4:]), [])


def test_a_log_cannot_shrink() -> None:
    with pytest.raises(NotAuthenticError):
        verify_consistency(tree_head(LEAVES), tree_head(LEAVES[:7]), [])


def test_an_inner_node_cannot_pass_for_a_leaf() -> None:
    children = LEAVES[0] + LEAVES[1]
    with pytest.raises(NotAuthenticError):
        verify_inclusion(leaf_hash(children), 0, tree_head(LEAVES[:2]), [])


@pytest.mark.parametrize("index", [-1, 8])
def test_no_proof_is_made_for_a_place_that_is_not_there(index: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        inclusion_proof(LEAVES, index)
    with pytest.raises(ValueError, match="has no beginning"):
        consistency_proof(LEAVES, index + 1 if index > 0 else 0)
