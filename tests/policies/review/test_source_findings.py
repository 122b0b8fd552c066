"""Findings on source: honest code is left in peace, each attack told at its line, and nothing exhausts the reader."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.review.findings import MAXIMUM_FINDINGS, Findings, collect
from policies.review.read_source import MAXIMUM_SOURCE_BYTES
from policies.review.source_findings import source_notes
from tests.policies.review.malicious_sources import SOURCES

TESTS = Path(__file__).parents[2]
JOBS = TESTS / "system" / "pysyft_jobs"
HONEST = {
    "the demo's plan": {"source.py": TESTS / "demo" / "plan.py"},
    "plans of the system tests": {"source.py": TESTS / "system" / "plans.py"},
    "plans with convolutions": {"source.py": TESTS / "researcher" / "convolution_plans.py"},
    **{name: {"main.py": JOBS / f"{name}.py"} for name in ("analysis", "figure", "group_by", "model")},
    "survey": {path.name: path for path in (JOBS / "survey").iterdir() if path.is_file()},
}
ATTACKS = [
    pytest.param(name, number, id=f"{name}-{number}: {line[:40]}")
    for name, source in SOURCES.items()
    for number, line in enumerate(source.split("\n"), 1)
    if line.strip() and not line.startswith("import torch, random")
]


def found(files: Mapping[str, bytes]) -> Findings:
    return collect(source_notes(files))


def found_in(source: str | bytes) -> Findings:
    return found({"main.py": source.encode() if isinstance(source, str) else source})


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_has_nothing_that_weighs(name: str) -> None:
    findings = found({path: file.read_bytes() for path, file in HONEST[name].items()})
    assert [it.sentence for it in findings.found if it.severity == "high"] == []
    assert all(it.severity == "low" for it in findings.found if name != "plans with convolutions")


def test_the_demo_gives_no_finding_at_all() -> None:
    assert found_in((TESTS / "demo" / "plan.py").read_bytes()).found == ()


@pytest.mark.parametrize(("name", "line"), ATTACKS)
def test_an_attack_is_told_at_its_line(name: str, line: int) -> None:
    findings = found_in(SOURCES[name])
    assert any(it.line == line and it.severity != "low" for it in findings.found)
    assert findings.more == 0


@pytest.mark.parametrize(
    ("line", "severity", "says"),
    [
        ("import os", "high", "«os» is used here"),
        ("eval('1')", "high", "«eval» is used here"),
        ("import random\nrandom._os.system('id')", "high", "«random._os.system»"),
        ("import numpy as np\nnp.show_config()", "low", "«numpy.show_config» is used here: it is not on the list"),
        ("getattr(x, y)", "high", "computed while the program runs"),
        ("'a' + 'b'", None, ""),
        ("def f(input, dir): return input", None, ""),
        ("model.eval()", None, ""),
        ("größe = 1; σ = 2", None, ""),
        ("import json as j\nj.dumps({})", None, ""),
    ],
)
def test_what_is_said_of_a_line(line: str, severity: str | None, says: str) -> None:
    findings = found_in(line)
    if severity is None:
        assert findings.found == ()
    else:
        assert any(it.severity == severity and says in it.sentence for it in findings.found)


def test_what_weighs_most_comes_first_and_the_order_does_not_depend_on_the_files() -> None:
    files = {name: source.encode() for name, source in SOURCES.items()}
    files = {f"{name}.py": content for name, content in files.items()}
    findings = found(files)
    weights = [("high", "medium", "low").index(it.severity) for it in findings.found]
    assert weights == sorted(weights)
    assert found(dict(reversed(files.items()))).digest() == findings.digest()


def test_a_flood_is_counted_and_what_weighs_is_not_washed_away() -> None:
    findings = found_in("open('x')\n" * 5000 + "eval('1')\n")
    assert len(findings.found) == MAXIMUM_FINDINGS
    assert findings.more == 4802
    assert findings.found[0].line == 5001


def test_a_file_that_takes_the_place_of_a_library_and_one_that_hides_code_are_told() -> None:
    findings = found({"json.py": b"", "main.py": b"import json\n", "weights.pkl": b"\x80"})
    assert {(it.place, it.severity) for it in findings.found} == {("json.py", "high"), ("weights.pkl", "high")}


def test_files_of_the_request_may_import_each_other() -> None:
    assert found({"main.py": b"import measure\nfrom measure import f\nmeasure.f()\n", "measure.py": b""}).found == ()


HARD_TO_READ = {
    "no Python": b"def f(:\n",
    "no text": b"\xff\xfe\x00",
    "null bytes": b"x = 1\0",
    "an open bracket": b"(" * 5000,
    "minus signs": b"x = " + b"-" * 100_000 + b"1",
    "attributes": b"a" + b".b" * 60_000,
    "powers": b"x = " + b"1 ** " * 30_000 + b"1",
    "conditions": b"x = " + b"1 if 1 else " * 9000 + b"1",
    "lambdas": b"x = " + b"lambda:" * 2000 + b"1",
    "branches": b"if a: pass\n" + b"elif a: pass\n" * 4000,
    "calls": b"f" + b"()" * 40_000,
    "nested dictionaries": b"{1:" * 200 + b"1" + b"}" * 200,
    "blocks": b"".join(b" " * depth + b"if 1:\n" for depth in range(150)),
    "a large number": b"x = " + b"9" * 100_000,
    "too large": b"x = 1\n" * (MAXIMUM_SOURCE_BYTES // 6 + 1),
    "too many words": b"x = 1\n" * (MAXIMUM_SOURCE_BYTES // 6),
    "an endless name": b"l" * 200_000 + b"x(",
}


@pytest.mark.parametrize("name", HARD_TO_READ)
def test_what_cannot_be_read_is_a_finding_and_takes_no_time(name: str) -> None:
    begun = time.process_time()
    findings = found_in(HARD_TO_READ[name])
    assert time.process_time() - begun < 10
    assert any(it.check == "unreadable" and it.severity == "high" for it in findings.found)


def test_source_beyond_what_is_read_is_told() -> None:
    files = {f"part_{number}.py": b"x = 1\n" * 40_000 for number in range(6)}
    assert any("was not looked at" in it.sentence for it in found(files).found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_anything_at_all_is_read_without_an_error(content: bytes) -> None:
    findings = found_in(content)
    assert all(it.sentence.isprintable() and it.ask for it in findings.found)


PYTHON = "import from as os eval ( ) [ ] { } . , : = lambda if else for in def class '' \"a\" 1 x np @ * ** getattr"
WORDS = st.sampled_from([*re.findall(r"\S+", PYTHON), "\n", "\n\t"])


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=60).map(" ".join))
def test_anything_like_python_is_read_without_an_error(source: str) -> None:
    found_in(source)
