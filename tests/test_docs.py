"""Documents that name files, tests and places: what they name exists, and each promise has tests that attack it."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THREAT_MODEL = ROOT / "docs" / "threat-model.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROMISES = tuple(f"P{number}" for number in range(1, 8))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def named_tests(text: str) -> list[tuple[str, str]]:
    """Every `file::test` in backticks."""
    return re.findall(r"`([\w/.]+\.py)::(\w+)`", text)


@cache
def defined_tests(file: str) -> set[str]:
    """The names of the tests that a file defines; none if there is no such file."""
    path = ROOT / file
    return set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)) if path.is_file() else set()


def promise(name: str) -> str:
    """The threat model's section on a promise."""
    (section,) = re.findall(rf"^## {name}\. .*?(?=^## |\Z)", THREAT_MODEL.read_text(), re.MULTILINE | re.DOTALL)
    return str(section)


def anchors(document: Path) -> set[str]:
    """The anchors that a page of this document gets: its headings in small letters, hyphens for spaces."""
    return {re.sub(r"[^\w -]", "", it).lower().replace(" ", "-") for it in _HEADING.findall(document.read_text())}


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = named_tests(THREAT_MODEL.read_text())
    assert named
    assert [it for it in named if it[1] not in defined_tests(it[0])] == []


def test_every_file_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+)(?:::\w+)?`", THREAT_MODEL.read_text()))
    assert len(named) > len(PROMISES)
    assert [it for it in sorted(named) if not (ROOT / it).is_file()] == []


@pytest.mark.parametrize("name", PROMISES)
def test_each_promise_names_its_mechanism_its_limits_and_five_tests(name: str) -> None:
    section = promise(name)
    for part in ("**The promise.**", "**How.**", "**Tests.**", "**Limits.**"):
        assert section.count(part) == 1
    tests = set(named_tests(section))
    assert len(tests) >= 5
    mechanism = section.partition("**How.**")[2].partition("**Tests.**")[0]
    assert re.findall(r"`\w+(?:/\w+)+\.py`", mechanism)


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    """The positive twin: what the tests above look for is found only where it is."""
    assert named_tests("- `tests/test_docs.py::test_nobody_wrote_this`") == [
        ("tests/test_docs.py", "test_nobody_wrote_this")
    ]
    assert "test_nobody_wrote_this" not in defined_tests("tests/test_docs.py")
    assert "test_a_name_that_is_not_there_would_be_noticed" in defined_tests("tests/test_docs.py")
    assert defined_tests("tests/no_such_file.py") == set()


@pytest.mark.parametrize("document", PAGES, ids=lambda it: it.name)
def test_links_within_the_repository_resolve(document: Path) -> None:
    links = [it for it in _LINK.findall(document.read_text()) if not it.startswith(("http://", "https://", "mailto:"))]
    assert links or document.name != "README.md"
    for link in links:
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
