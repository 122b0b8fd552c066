"""Any record, with columns in any order and of any name and numbers written in any way, is found among aggregates."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.one_inspection import checks, inspect, patients

PATIENTS = patients().drop(columns="patient")
NUMBERS = PATIENTS.select_dtypes("number")
MEANS = PATIENTS.groupby(["sex", "region"]).mean(numeric_only=True).reset_index()
RECORDS = st.integers(0, len(PATIENTS) - 1)
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _found(name: str, content: str | bytes) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        return checks(inspect(Path(folder), {name: content}, {"data.csv": PATIENTS}))


@quick
@given(
    record=RECORDS,
    order=st.permutations(list(PATIENTS.columns)),
    kept=st.integers(6, len(PATIENTS.columns)),
    decimals=st.integers(3, 8),
    renamed=st.booleans(),
    place=st.integers(0, len(MEANS)),
    as_text=st.booleans(),
)
def test_a_row_of_a_table(record, order, kept, decimals, renamed, place, as_text):
    row = PATIENTS.iloc[[record]].round(decimals)
    table = pd.concat([MEANS.iloc[:place], row, MEANS.iloc[place:]])[order[:kept]]
    if renamed:
        table.columns = [f"v{number}" for number in range(kept)]
    text = table.to_csv(index=False) if not as_text else table.to_string()
    assert _found("table.txt" if as_text else "table.csv", text) & {"record-rows", "small-groups", "rare-combinations"}


@quick
@given(record=RECORDS, order=st.permutations(range(NUMBERS.shape[1])), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_row_of_a_tensor(record, order, dtype):
    weights = np.random.default_rng(0).normal(size=(6, NUMBERS.shape[1]))
    weights[3] = NUMBERS.to_numpy(float)[record, order]
    assert "record-rows" in _found("model.safetensors", save({"weight": weights.astype(dtype)}))


@quick
@given(record=RECORDS, names=st.booleans(), depth=st.integers(0, 20))
def test_an_object_in_json(record, names, depth):
    row = PATIENTS.iloc[record].to_dict()
    value = row if names else list(row.values())
    for _ in range(depth):
        value = {"inner": [value]}
    assert "record-rows" in _found("a.json", json.dumps(value, default=float))
