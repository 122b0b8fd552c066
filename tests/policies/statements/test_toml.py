"""TOML files of an owner: bounded in length, in nesting and in the time that they take to read."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datasites.store.home import Home, read_settings
from policies.errors import InvalidInputError
from policies.manifest import MAXIMUM_MANIFEST_BYTES, parse_manifest
from policies.rules.house_rules import parse_house_rules
from policies.statements.toml import parse_toml


def parse(text: str) -> dict[str, object]:
    return parse_toml(text.encode(), maximum_bytes=MAXIMUM_MANIFEST_BYTES, what="The file")


@pytest.fixture(params=["manifest", "house rules", "settings"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], object]:
    """Each reader of a TOML file."""

    def settings(data: bytes) -> object:
        Home(tmp_path).settings_file.write_bytes(data)
        return read_settings(Home(tmp_path))

    return {"manifest": parse_manifest, "house rules": parse_house_rules, "settings": settings}[request.param]


@pytest.mark.parametrize(
    "data",
    [
        b"a = " + b"9" * 5000,
        b"a = 0x" + b"f" * 5000,
        b"a = " + b"[" * 20_000,
        b"a = \xff",
        b"a" + b".a" * 30_000 + b" = 1",
        b"#" + b" " * MAXIMUM_MANIFEST_BYTES,
    ],
    ids=["digits", "hexadecimal", "nested", "not UTF-8", "dotted", "long"],
)
def test_what_no_reader_can_take_is_refused_and_soon(reader: Callable[[bytes], object], data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInputError) as caught:
        reader(data)
    assert time.process_time() - began < 5, "tomllib alone takes half a minute for the dotted key"
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("part", ["a", "a-b", '"a b"', "'a.b'", r'"\""', '""'])
@pytest.mark.parametrize("dot", [".", " . "])
def test_endless_keys_are_refused_however_they_are_written(part: str, dot: str) -> None:
    for line in (f"{dot.join([part] * 40)} = 1", f"[{dot.join([part] * 40)}]", f"x = {{{dot.join([part] * 40)} = 1}}"):
        with pytest.raises(InvalidInputError, match="more than 32 names"):
            parse(line)


def test_ordinary_files_may_hold_dots() -> None:
    sentences = "One row a visit. " * 60 + "…" * 50 + "." * 50
    assert parse(f'a.b."c" = "{sentences}"') == {"a": {"b": {"c": sentences}}}
    assert parse("a = 1.5e3\nb = [" + "1.5, " * 100 + "]")["a"] == 1500.0
