"""Checkpoints: the C2SP formats' own examples, and notes that must be refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError, NotAuthenticError
from policies.log.checkpoint import Checkpoint, key_id, log_origin, open_checkpoint, parse_checkpoint, sign_checkpoint
from policies.log.merkle import TreeHead

SPECIFICATION_EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
ORIGIN = log_origin("ab" * 32)
CHECKPOINT = Checkpoint(ORIGIN, TreeHead(7, bytes(range(32))))


def test_the_specifications_example_is_read_with_its_witness() -> None:
    checkpoint, signatures = parse_checkpoint(SPECIFICATION_EXAMPLE)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.head.size == 20852163
    assert [line.name for line in signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert SPECIFICATION_EXAMPLE.startswith(checkpoint.text() + b"\n")


def test_the_key_id_is_that_of_the_reference_implementation() -> None:
    reference = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert key_id("PeterNeumann", reference[1:]).hex() == "c74f20a3"


def test_a_signed_checkpoint_opens_under_its_key() -> None:
    assert open_checkpoint(sign_checkpoint(KEY, CHECKPOINT), ORIGIN, PUBLIC) == CHECKPOINT


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    other = sign_checkpoint(Ed25519PrivateKey.generate(), CHECKPOINT).split(b"\n\n")[1]
    assert open_checkpoint(sign_checkpoint(KEY, CHECKPOINT) + other, ORIGIN, PUBLIC) == CHECKPOINT


def test_another_key_another_log_or_another_text_is_not_authentic() -> None:
    note = sign_checkpoint(KEY, CHECKPOINT)
    with pytest.raises(NotAuthenticError, match="0 signatures"):
        open_checkpoint(note, ORIGIN, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(NotAuthenticError, match="another log"):
        open_checkpoint(note, log_origin("cd" * 32), PUBLIC)
    with pytest.raises(NotAuthenticError, match="not by the log's key"):
        open_checkpoint(note.replace(b"\n7\n", b"\n8\n"), ORIGIN, PUBLIC)


def test_a_signature_given_twice_is_not_authentic() -> None:
    note = sign_checkpoint(KEY, CHECKPOINT)
    with pytest.raises(NotAuthenticError, match="2 signatures"):
        open_checkpoint(note + note.split(b"\n\n")[1], ORIGIN, PUBLIC)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n7\n", b"\n07\n"),
        (b"\n7\n", b"\n+7\n"),
        (b"\n7\n", "\n７\n".encode()),
        (b"\n7\n", b"\n" + b"9" * 17 + b"\n"),
        (b"\n7\n", b"\n7\n\n"),
        (b"\n\n", b"\nextension\n\n"),
        (b"\n\n", b"\n"),
        (b"=\n", b"\n"),
        (b"Hh8=", b"Hh9="),
        (b"AAEC", b"AA C"),
        ("— ".encode(), b"- "),
        ("— ".encode(), "—  ".encode()),
        (b"cloister.log/", b"cloister log/"),
        (b"cloister.log/", b"cloister.log/+"),
        (b"\n", b"\r\n"),
        (b"AAEC", b"\xff\xff\xff"),
    ],
)
def test_other_spellings_are_refused(old: bytes, new: bytes) -> None:
    note = sign_checkpoint(KEY, CHECKPOINT)
    changed = note.replace(old, new, 1)
    assert changed != note
    with pytest.raises(InvalidInputError):
        parse_checkpoint(changed)


def test_notes_without_an_end_without_signatures_or_with_too_many_are_refused() -> None:
    note = sign_checkpoint(KEY, CHECKPOINT)
    line = note.split(b"\n\n")[1]
    for changed in (note[:-1], note[: -len(line)], note + line * 100, note + b"\n", b"", b"\n\n\n\n\n\n"):
        with pytest.raises(InvalidInputError):
            parse_checkpoint(changed)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_byte_survives(place: int, change: int) -> None:
    note = bytearray(sign_checkpoint(KEY, CHECKPOINT))
    note[place % len(note)] ^= change
    with pytest.raises((InvalidInputError, NotAuthenticError)):
        open_checkpoint(bytes(note), ORIGIN, PUBLIC)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_checkpoint(data)
