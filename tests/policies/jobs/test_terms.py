"""Terms of a job: what is consistent, what is not, and that their digest covers all of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from policies.errors import InvalidInputError
from policies.jobs.terms import MAXIMUM_CODE_BYTES, MAXIMUM_JOB_TERMS_BYTES, CodeFile, JobLimits, JobTerms
from policies.statements.schema import parse_model

HEX = "0" * 64


def file(path: str, size: int = 3) -> CodeFile:
    return CodeFile(path=path, size=size, digest=HEX)


def terms(**changes: Any) -> JobTerms:
    fields: dict[str, Any] = {
        "version": "cloister-job/1",
        "job": "a" * 32,
        "name": "count visits",
        "researcher": "1" * 64,
        "site": "2" * 64,
        "data_sets": ("visits",),
        "entrypoint": "main.py",
        "code": (file("main.py"),),
        "requirements": (),
        "limits": JobLimits(wall_seconds=60, memory_mib=2048, disk_mib=64),
        "purpose": "To know.",
        "legal_basis": "Consent.",
        "recipients": "The ward.",
        "onward_use": "None.",
        "supersedes": None,
        "expires_at": 2_000_000_000,
    }
    return JobTerms(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"code": (file("b.py"), file("a.py")), "entrypoint": "a.py"}, "in the order of their paths, each once"),
        ({"code": (file("a.py"), file("a.py")), "entrypoint": "a.py"}, "in the order of their paths, each once"),
        ({"code": (file("main.py"), file("main.py/x.py"))}, "a file and a folder"),
        ({"entrypoint": "other.py"}, "entrypoint is no Python file of the code"),
        ({"entrypoint": "run.sh", "code": (file("run.sh"),)}, "entrypoint is no Python file of the code"),
        ({"code": (file("a.py", MAXIMUM_CODE_BYTES), file("main.py"))}, "at most"),
        ({"data_sets": ("visits", "visits")}, "named twice"),
        ({"data_sets": ("../visits",)}, "pattern"),
        ({"code": ()}, "at least 1"),
        ({"requirements": ("pandas; import os\n",)}, "pattern"),
        ({"purpose": "a\u202eb"}, "pattern"),
        ({"purpose": ""}, "at least 1"),
        ({"status": "approved"}, "Extra inputs"),
        ({"job": "A" * 32}, "pattern"),
        ({"expires_at": -1}, "greater than or equal"),
        ({"version": "cloister-job/2"}, "cloister-job/1"),
    ],
)
def test_what_is_not_consistent_is_no_terms(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        terms(**changes)


@pytest.mark.parametrize("limits", [{"wall_seconds": 0}, {"memory_mib": 255}, {"disk_mib": 65_537}, {"disk_mib": 1.5}])
def test_limits_are_whole_numbers_in_their_range(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobLimits(**({"wall_seconds": 60, "memory_mib": 2048, "disk_mib": 64} | limits))


def test_every_field_of_the_terms_counts_for_their_digest() -> None:
    usual = terms()
    changes: dict[str, Any] = {
        "job": "b" * 32,
        "name": "count beds",
        "researcher": "3" * 64,
        "site": "3" * 64,
        "data_sets": (),
        "entrypoint": "a.py",
        "code": (file("main.py", 4),),
        "requirements": ("pandas",),
        "limits": JobLimits(wall_seconds=61, memory_mib=2048, disk_mib=64),
        "purpose": "To see.",
        "legal_basis": "Law.",
        "recipients": "Nobody.",
        "onward_use": "Any.",
        "supersedes": "4" * 64,
        "expires_at": 2_000_000_001,
    }
    assert set(changes) | {"version"} == set(JobTerms.model_fields)
    changed = [terms(**{name: value, **({"code": (file("a.py"),)} if name == "entrypoint" else {})})
               for name, value in changes.items()]  # fmt: skip
    assert len({it.digest() for it in (usual, *changed)}) == len(changes) + 1


@pytest.mark.parametrize("spelt", [b" %s", b"%s ", b"%s%s"])
def test_terms_have_one_spelling(spelt: bytes) -> None:
    text = terms().canonical()
    with pytest.raises(InvalidInputError):
        parse_model(JobTerms, spelt.replace(b"%s", text), maximum_bytes=MAXIMUM_JOB_TERMS_BYTES, what="The terms")


def test_the_largest_terms_are_accepted() -> None:
    paths = tuple(f"{number:03}" + "x" * 96 + "/" + "y" * 99 + ".p" for number in range(399))
    largest = terms(
        code=(*(file(path[:200]) for path in paths), file("main.py")),
        requirements=tuple(f"p{number:02}" + "x" * 197 for number in range(100)),
        data_sets=tuple(f"{number:063}" for number in range(20)),
        **dict.fromkeys(("purpose", "legal_basis", "recipients", "onward_use"), "\U0001f600" * 2000),
    )
    assert len(largest.canonical()) <= MAXIMUM_JOB_TERMS_BYTES
