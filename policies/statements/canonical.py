"""Canonical JSON (RFC 8785): one value has one spelling, so that one digest names it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from policies.errors import InvalidInputError

_MAXIMUM_DEPTH = 64

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


def canonical_bytes(value: Any) -> bytes:
    """Spell `value` (dicts, lists, strings, integers below 2⁵³, finite floats, booleans, None) canonically.

    Raises:
        InvalidInputError: the value has no canonical spelling (NaN, an integer too large, another type).
    """
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:  # the text of some quotes the value, and fails to for a huge integer
        raise InvalidInputError(f"This value has no canonical JSON form ({type(error).__name__}).") from error


def parse_json(data: bytes, *, maximum_bytes: int, what: str) -> Any:
    """Parse untrusted JSON strictly: bounded size and depth, no duplicate keys, no NaN, valid UTF-8.

    Raises:
        InvalidInputError: naming `what` and the rule that it breaks; never quoting the content.
    """
    if len(data) > maximum_bytes:
        raise InvalidInputError(f"{what} has {len(data)} bytes; at most {maximum_bytes} are accepted.")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_int=_whole_number
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not strict JSON ({type(error).__name__}).") from error
    if _depth(value) > _MAXIMUM_DEPTH:
        raise InvalidInputError(f"{what} is nested deeper than {_MAXIMUM_DEPTH} levels.")
    return value


def parse_canonical(data: bytes, *, maximum_bytes: int, what: str) -> Any:
    """Parse like `parse_json`, and accept only the canonical spelling, so that re-encoding changes no byte."""
    value = parse_json(data, maximum_bytes=maximum_bytes, what=what)
    if canonical_bytes(value) != data:
        raise InvalidInputError(f"{what} is JSON, but not in canonical form (RFC 8785).")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _whole_number(digits: str) -> int | float:
    # From 2⁵³ on only floats have a canonical spelling, and that of a whole one below 10²¹ looks like an integer.
    value = int(digits)
    return value if abs(value) < 2**53 else float(digits)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: Any) -> int:
    deepest, pending = 0, [(value, 1)]
    while pending:
        item, depth = pending.pop()
        deepest = max(deepest, depth)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        pending.extend((child, depth + 1) for child in children)
    return deepest
