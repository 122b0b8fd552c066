"""Whatever a job writes, in whatever shape, the inspection comes to its end and speaks of it."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.one_inspection import inspect

PRIVATE = {
    "data.csv": pd.DataFrame({"patient": [f"p{number:04}" for number in range(30)], "age": range(30, 60), "sex": "f"}),
    "lab.jsonl": b'{"age": 31, "note": "fine"}\n{"age": 32.5, "other": [1, {"a": null}]}\n',
    "empty.csv": b"age,sex\n",
}
NAMES = st.sampled_from(["age", "sex", "patient", "n", "", "0", "1", "value", "count", "mean age"]) | st.text(
    max_size=5
)
CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.integers(0, 60)
    | st.floats()
    | st.sampled_from(["f", "p0001", "31", "", "x" * 200])
    | st.text(max_size=8)
)
DOCUMENTS = st.recursive(
    CELLS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=40
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _inspected(name: str, content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        findings = inspect(Path(folder), {name: content.encode(errors="replace")}, PRIVATE, unit_column="patient")
    assert findings.inspected == (name,)
    assert all(finding.sentence for finding in findings.found)


@quick
@given(DOCUMENTS)
def test_any_json(document):
    _inspected("a.json", json.dumps(document))


@quick
@given(st.lists(NAMES, max_size=5), st.lists(st.lists(CELLS, max_size=6), max_size=12))
def test_any_csv(names, rows):
    frame = pd.DataFrame([(row + [None] * 6)[: len(names)] for row in rows], columns=range(len(names)))
    _inspected("a.csv", frame.set_axis(names, axis=1).to_csv(index=False))


@quick
@given(st.lists(st.lists(CELLS.map(str), max_size=6), max_size=12))
def test_any_text(lines):
    _inspected("stdout.txt", "\n".join(map(" ".join, lines)))


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.txt"])
def test_nothing_at_all(name):
    _inspected(name, "")
