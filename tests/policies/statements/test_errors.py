"""What parsers say of untrusted input: which field is wrong, and never a word of what was got."""

import json

import pytest

from policies.errors import InvalidInputError
from policies.log.entries import parse_entry
from policies.manifest import Manifest, parse_published_manifest
from policies.statements.canonical import canonical_bytes, parse_canonical


def test_a_kind_that_is_unknown_is_not_quoted(manifest: Manifest) -> None:
    fields = json.loads(manifest.canonical())
    fields["columns"][0]["type"] = "evil\u202e"
    for parse, document in ((parse_published_manifest, fields), (parse_entry, {"at": 0, "kind": "evil\u202e"})):
        with pytest.raises(InvalidInputError, match="must be one of the kinds") as caught:
            parse(canonical_bytes(document))
        assert "evil" not in str(caught.value)


def test_an_integer_too_large_is_not_quoted() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_canonical(b'{"secret":' + b"7" * 30 + b"}", maximum_bytes=100, what="It")
    assert "777" not in str(caught.value)


def test_a_whole_float_beyond_the_integers_is_read_back() -> None:
    for value in (2.0**53, -(2.0**53), 1e16, 123456789012345680000.0, 1e20):
        data = canonical_bytes({"value": value})
        assert parse_canonical(data, maximum_bytes=100, what="It") == {"value": value}
    for data in (b"9007199254740993", b"1000000000000000000000", b"9" * 400):
        with pytest.raises(InvalidInputError):
            parse_canonical(data, maximum_bytes=500, what="It")


def test_an_integer_too_large_to_print_has_no_canonical_form() -> None:
    with pytest.raises(InvalidInputError):
        canonical_bytes({"a": 16**5000})
