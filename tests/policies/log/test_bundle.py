"""The exported file: what was written is read back, and what is not a bundle is refused in a sentence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from policies.log import bundle
from policies.statements.digests import digest

FACTS = bundle.SiteFacts(name="Klinikum Süd", signing_key="1a" * 32, log_key="2b" * 32, owner_key="3c" * 32)
WRITTEN = bundle.write_bundle(FACTS, b"note\n", [b'{"a":1}', b'{"b":2}'])


def test_what_was_written_is_read_back() -> None:
    read = bundle.read_bundle(WRITTEN)
    assert read.header.site == FACTS
    assert read.header.checkpoint == "note\n"
    assert read.entries == (b'{"a":1}', b'{"b":2}')


def test_the_site_is_named_by_its_signing_key() -> None:
    assert FACTS.site == digest("identity", bytes.fromhex("1a" * 32))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (WRITTEN[:-1], "cut off"),
        (WRITTEN + b"\n", "empty line"),
        (WRITTEN.replace(b'{"a":1}', b""), "empty line"),
        (b'{"a":1}\n' + WRITTEN, "first line"),
        (WRITTEN.replace(b"bundle/1", b"bundle/2"), "version"),
        (WRITTEN.replace(b'"name":', b'"name" :'), "canonical"),
        (b"PK\x03\x04\n", "first line"),
    ],
)
def test_what_is_not_a_bundle_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        bundle.read_bundle(data)


def test_a_bundle_too_large_is_refused_before_it_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAXIMUM_BUNDLE_BYTES", len(WRITTEN) - 1)
    with pytest.raises(InvalidInputError, match="at most"):
        bundle.read_bundle(WRITTEN)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        bundle.read_bundle(data)
