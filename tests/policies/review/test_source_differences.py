"""Differences of source: layout and comments are none, everything that runs is one, each told where it stands."""

import ast
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.review.syntax_differences import SourceEdits, source_edits

ROOT = Path(__file__).parents[3]
REAL = sorted([*(ROOT / "policies" / "review").glob("*.py"), *(ROOT / "tests" / "system" / "pysyft_jobs").glob("*.py")])
PLAN = (ROOT / "tests" / "demo" / "plan.py").read_text()


def edits(before: str, after: str) -> SourceEdits:
    return source_edits(before.encode(), after.encode())


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.name)
def test_another_layout_is_no_change(file: Path) -> None:
    source = file.read_text()
    assert edits(source, ast.unparse(ast.parse(source)) + "\n# a comment\n") == ((), ())
    assert edits(source, source.replace("\n", "\r\n")) == ((), ())


def test_one_number_is_told_with_its_place() -> None:
    found = edits(PLAN, PLAN.replace("features + 0.5", "features + 0.7"))
    (edit,) = found.code
    assert (edit.where, edit.before, edit.after) == ("Network.forward", "0.5", "0.7")
    assert edit.line == next(number for number, line in enumerate(PLAN.split("\n"), 1) if "0.5" in line)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("x = a + b", "x = a - b", ("a + b", "a - b")),
        ("x = a < b", "x = a > b", ("a < b", "a > b")),
        ("x = not a", "x = -a", ("not a", "-a")),
        ("x = a.b", "x = a.c", ("a.b", "a.c")),
        ("f(x=1)", "f(y=1)", ("x=1", "y=1")),
        ("import a", "import b", ("a", "b")),
        ("from a import x", "from b import x", ("from a import x", "from b import x")),
        ("x = 1", "x = True", ("1", "True")),
        ("x = 1", "x = 1\ny = 2", (None, "y = 2")),
        ("x = 1\ny = 2", "x = 1", ("y = 2", None)),
        ("def f(): return 1", "def g(): return 1", ("function f", "function g")),
        ("def f(): return 1", "async def f(): return 1", ("function f", "asynchronous function f")),
        ("global x", "global y", ("x", "y")),
    ],
)
def test_the_smallest_part_that_differs_is_told(before: str, after: str, expected: tuple[str, str]) -> None:
    (edit,) = edits(before, after).code
    assert (edit.before, edit.after) == expected


def test_a_new_name_of_a_function_does_not_hide_what_changed_inside() -> None:
    found = edits("def f():\n    return 1", "def g():\n    return 2")
    assert {(edit.before, edit.after) for edit in found.code} == {("1", "2"), ("function f", "function g")}


def test_a_renamed_variable_is_told_at_every_place() -> None:
    found = edits(PLAN, PLAN.replace("centred", "middle"))
    assert [(edit.before, edit.after) for edit in found.code] == [("centred", "middle")] * 2


def test_a_docstring_is_told_apart() -> None:
    found = edits(PLAN, PLAN.replace("Binary cross-entropy.", "Another loss."))
    assert found.code == ()
    (edit,) = found.documentation
    assert (edit.where, edit.before, edit.after) == ("TumourPlan.loss", "Binary cross-entropy.", "Another loss.")


def test_a_change_far_inside_a_long_text_is_shown() -> None:
    text = "x" * 3000
    (edit,) = edits(f"a = '{text}1{text}'", f"a = '{text}2{text}'").code
    assert edit.before != edit.after


@pytest.mark.parametrize(("before", "after"), [("def (", "x = 1"), ("x = 1", "def ("), ("def (", "def ((")])
def test_what_cannot_be_parsed_is_one_change(before: str, after: str) -> None:
    assert len(edits(before, after).code) == 1
    assert edits(before, before) == ((), ())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(REAL), st.integers(0, 10_000))
def test_every_other_tree_has_a_change(file: Path, seed: int) -> None:
    tree = ast.parse(file.read_text())
    places = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute | ast.arg | ast.BinOp)]
    if not places:
        return
    chosen = random.Random(seed).choice(places)
    match chosen:
        case ast.Name():
            chosen.id += "_other"
        case ast.Attribute():
            chosen.attr += "_other"
        case ast.arg():
            chosen.arg += "_other"
        case ast.BinOp():
            chosen.op = ast.MatMult() if not isinstance(chosen.op, ast.MatMult) else ast.Add()
    found = edits(file.read_text(), ast.unparse(tree))
    assert 1 <= len(found.code) <= 2
