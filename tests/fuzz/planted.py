"""Parsers with one defect each, for the fuzzer to find; run as a program it fuzzes them."""

import time
from pathlib import Path
from typing import Any

from tests.fuzz.run import fuzz_all, load_targets

load_targets()  # first, so that what is imported below is instrumented

from policies.errors import InvalidInputError  # noqa: E402
from policies.statements.canonical import parse_canonical  # noqa: E402
from tests.fuzz.forms import JSON  # noqa: E402
from tests.fuzz.targets import Target  # noqa: E402

_SEED = b'{"count":1,"name":"a"}'


def _parse(data: bytes) -> dict[str, Any]:
    value = parse_canonical(data, maximum_bytes=1000, what="It")
    if not isinstance(value, dict) or not isinstance(value.get("count"), int):
        raise InvalidInputError("It has no count.")
    return value


def _undeclared(data: bytes) -> object:
    return _parse(data)["name"]


def _hang(data: bytes) -> None:
    if _parse(data).get("name") is None:
        time.sleep(60)


def _allocate(data: bytes) -> bytes:
    return bytes(abs(_parse(data)["count"]) * 1000)


def _quote(data: bytes) -> None:
    name = _parse(data).get("name")
    if name != "a":
        raise InvalidInputError(f"It is named {name}.")


def _unlimited(data: bytes) -> None:
    if data != bytes(1001):
        _parse(data)


PLANTED = tuple(
    Target(parse.__name__.strip("_"), parse, JSON, (_SEED,), limit=1000, seconds=2, memory=64 << 20)
    for parse in (_undeclared, _hang, _allocate, _quote, _unlimited, _parse)
)

if __name__ == "__main__":
    fuzz_all(PLANTED, 20_000 * len(PLANTED), Path("fuzz-findings"), 1)
