"""The shapes that outside bytes come in: how to take their tree of fields out, and to put a changed one back."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import rfc8785

Taken = tuple[Any, Callable[[Any], bytes]]
"""A tree of dicts, lists and plain values, and how to spell a changed tree in the bytes it came from."""


@dataclass(frozen=True)
class Form:
    """`take` finds one tree in well-formed bytes (any of several, as `random` says); it may raise ValueError."""

    name: str
    take: Callable[[bytes, Random], Taken]


def spell(tree: Any) -> bytes:
    """Canonical JSON, so that a mutant passes the check for it; where there is none, JSON all the same."""
    try:
        return rfc8785.dumps(tree)
    except (ValueError, RecursionError):
        return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
            errors="surrogatepass"
        )


def _json(data: bytes, _random: Random) -> Taken:
    return json.loads(data), spell


def _prefixed(width: int, order: str) -> Callable[[bytes, Random], Taken]:
    def take(data: bytes, _random: Random) -> Taken:
        end = width + int.from_bytes(data[:width], order)  # type: ignore[arg-type]

        def put(tree: Any) -> bytes:
            header = spell(tree)
            return (len(header) % 256**width).to_bytes(width, order) + header + data[end:]  # type: ignore[arg-type]

        return json.loads(data[width:end]), put

    return take


def _lines(data: bytes, random: Random) -> Taken:
    """One record of a file of lines, or all its records: they are doubled, moved and dropped as the items of a list."""
    lines = data.split(b"\n")[:-1]
    if random.random() < 0.25:
        return [json.loads(line) for line in lines], lambda tree: b"".join(
            spell(item) + b"\n" for item in (tree if isinstance(tree, list) else [tree])
        )
    place = random.randrange(len(lines))
    return json.loads(lines[place]), lambda tree: b"".join(
        (spell(tree) if position == place else line) + b"\n" for position, line in enumerate(lines)
    )


def _toml(data: bytes, _random: Random) -> Taken:
    def put(tree: Any) -> bytes:
        items = tree.items() if isinstance(tree, dict) else [("a", tree)]
        return "".join(f"{_quoted(key)} = {_toml_value(value)}\n" for key, value in items).encode(errors="replace")

    return tomllib.loads(data.decode()), put


def _toml_value(value: Any) -> str:
    match value:
        case bool() | None:
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml_value, value)) + "]"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _bytes(_data: bytes, _random: Random) -> Taken:
    raise ValueError("no fields: libFuzzer's own mutations are all there is")


JSON = Form("json", _json)
LINES = Form("lines", _lines)
TOML = Form("toml", _toml)
ENVELOPE = Form("envelope", _prefixed(2, "big"))
SAFETENSORS = Form("safetensors", _prefixed(8, "little"))
BYTES = Form("bytes", _bytes)
