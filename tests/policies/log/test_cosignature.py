"""Cosignatures: those of public witnesses are read as their owners meant them, and none passes for anything else."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError, NotAuthenticError
from policies.log.checkpoint import Checkpoint, key_id, log_origin, open_checkpoint, parse_checkpoint, sign_checkpoint
from policies.log.cosignature import cosign, cosigned_at, cosigner_name, count_others, join_notes
from policies.log.merkle import TreeHead
from policies.statements.digests import frame
from policies.statements.signed import sign, verify

LOG, WITNESS, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
LOG_KEY, KEY, STRANGERS_KEY = (it.public_key().public_bytes_raw() for it in (LOG, WITNESS, STRANGER))
SITE, PARTY = "ab" * 32, "cd" * 32
CHECKPOINT = Checkpoint(log_origin(SITE), TreeHead(7, bytes(range(32))))
NOTE = sign_checkpoint(LOG, CHECKPOINT)
COSIGNED = cosign(WITNESS, PARTY, NOTE, 1_700_000_000)

# A checkpoint of a public log with the cosignatures of two public witnesses, and the keys that these publish.
PUBLIC_NOTE = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"
    "— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0"
    "WBxtqB0DrAWfBw==\n"
    "— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI"
    "7cUiOvKFYe/TmN9DAg==\n"
).encode()
PUBLIC_KEYS = {
    "remora.n621.de+da77ade7": "BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0": "BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
}


@pytest.mark.parametrize("witness", PUBLIC_KEYS)
def test_a_public_witness_is_read(witness: str) -> None:
    name, _, identifier = witness.partition("+")
    encoded = base64.b64decode(PUBLIC_KEYS[witness])
    assert encoded[:1] == b"\x04"
    assert key_id(name, encoded[1:], b"\x04").hex() == identifier
    assert cosigned_at(PUBLIC_NOTE, encoded[1:]) == 0x6A122120
    with pytest.raises(NotAuthenticError):
        cosigned_at(PUBLIC_NOTE.replace(b"1432088532", b"1432088533"), encoded[1:])


def test_the_specifications_example_has_the_time_that_it_names() -> None:
    """The specification publishes no keys: its line's frame is what can be compared."""
    line = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    ours = base64.b64decode(cosign(WITNESS, PARTY, NOTE, 1679315147).splitlines()[-1].rpartition(b" ")[2])
    assert len(ours) == len(base64.b64decode(line))
    assert ours[4:12] == base64.b64decode(line)[4:12]


def test_what_was_signed_is_what_the_specification_says() -> None:
    raw = base64.b64decode(COSIGNED.splitlines()[-1].rpartition(b" ")[2])
    WITNESS.public_key().verify(raw[12:], b"cosignature/v1\ntime 1700000000\n" + CHECKPOINT.text())


def test_a_cosigned_note_opens_for_the_log_and_for_its_witness_and_for_nobody_else() -> None:
    assert open_checkpoint(COSIGNED, CHECKPOINT.origin, LOG_KEY) == CHECKPOINT
    assert cosigned_at(COSIGNED, KEY) == 1_700_000_000
    assert cosigned_at(COSIGNED, STRANGERS_KEY) is None
    assert cosigned_at(NOTE, KEY) is None
    assert (count_others(NOTE, LOG_KEY), count_others(COSIGNED, LOG_KEY)) == (0, 1)


def test_a_cosignature_is_no_signature_of_a_log_and_a_logs_is_no_cosignature() -> None:
    """The same key under the same name, both ways."""
    cosigned = cosign(LOG, PARTY, NOTE, 5).splitlines(keepends=True)
    renamed = cosigned[-1].replace(cosigner_name(PARTY).encode(), CHECKPOINT.origin.encode())
    with pytest.raises(NotAuthenticError, match="0 signatures"):
        open_checkpoint(CHECKPOINT.text() + b"\n" + renamed, CHECKPOINT.origin, LOG_KEY)
    forged_id = base64.b64encode(key_id(CHECKPOINT.origin, LOG_KEY) + base64.b64decode(renamed.rpartition(b" ")[2])[4:])
    forged = f"— {CHECKPOINT.origin} {forged_id.decode()}\n".encode()
    with pytest.raises(NotAuthenticError, match="not by the log's key"):
        open_checkpoint(CHECKPOINT.text() + b"\n" + forged, CHECKPOINT.origin, LOG_KEY)
    assert cosigned_at(NOTE, LOG_KEY) is None
    plain = base64.b64decode(NOTE.splitlines()[-1].rpartition(b" ")[2])[4:]
    name = cosigner_name(PARTY)
    line = base64.b64encode(key_id(name, LOG_KEY, b"\x04") + bytes(8) + plain).decode()
    with pytest.raises(NotAuthenticError):
        cosigned_at(NOTE + f"— {name} {line}\n".encode(), LOG_KEY)


def test_no_text_is_both_a_checkpoint_and_what_a_cosignature_signs() -> None:
    raw = base64.b64decode(COSIGNED.splitlines()[-1].rpartition(b" ")[2])[12:]
    signed = b"cosignature/v1\ntime 1700000000\n" + CHECKPOINT.text()
    with pytest.raises(InvalidInputError):
        parse_checkpoint(signed + b"\n" + COSIGNED.splitlines(keepends=True)[-1])
    assert frame("envelope")[:1] == b"\x00" != signed[:1]
    with pytest.raises(NotAuthenticError):
        verify(KEY, raw, "envelope", signed, what="a letter")
    with pytest.raises(NotAuthenticError):
        cosigned_at(_with_signature(sign(WITNESS, "envelope", CHECKPOINT.text())), KEY)


def test_another_time_another_size_or_a_second_line_is_not_authentic() -> None:
    raw = base64.b64decode(COSIGNED.splitlines()[-1].rpartition(b" ")[2])
    with pytest.raises(NotAuthenticError):
        cosigned_at(_with_signature(raw[12:], at=1_700_000_001), KEY)
    with pytest.raises(NotAuthenticError):
        cosigned_at(COSIGNED.replace(b"\n7\n", b"\n8\n"), KEY)
    with pytest.raises(NotAuthenticError, match="2 cosignatures"):
        cosigned_at(cosign(WITNESS, PARTY, COSIGNED, 6), KEY)
    with pytest.raises(NotAuthenticError):
        cosigned_at(_with_signature(raw[12:] + b"\x00"), KEY)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_byte_leaves_a_cosignature(place: int, change: int) -> None:
    note = bytearray(COSIGNED)
    note[place % len(note)] ^= change
    try:
        assert cosigned_at(bytes(note), KEY) in (None, 1_700_000_000)
        open_checkpoint(bytes(note), CHECKPOINT.origin, LOG_KEY)
    except (InvalidInputError, NotAuthenticError):
        return
    assert cosigned_at(bytes(note), KEY) is None or count_others(bytes(note), LOG_KEY) == 1


def test_notes_of_one_checkpoint_are_joined() -> None:
    other = cosign(STRANGER, "ef" * 32, NOTE, 9)
    joined = join_notes([COSIGNED, other, NOTE])
    assert (cosigned_at(joined, KEY), cosigned_at(joined, STRANGERS_KEY)) == (1_700_000_000, 9)
    assert open_checkpoint(joined, CHECKPOINT.origin, LOG_KEY) == CHECKPOINT
    with pytest.raises(ValueError, match="2 checkpoints"):
        join_notes([NOTE, sign_checkpoint(LOG, Checkpoint(CHECKPOINT.origin, TreeHead(8, bytes(32))))])


def _with_signature(signature: bytes, at: int = 1_700_000_000) -> bytes:
    name = cosigner_name(PARTY)
    line = base64.b64encode(key_id(name, KEY, b"\x04") + at.to_bytes(8, "big") + signature).decode()
    return NOTE + f"— {name} {line}\n".encode()
