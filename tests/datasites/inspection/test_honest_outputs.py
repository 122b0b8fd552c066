"""What honest analyses produce passes: an owner who is warned of everything heeds nothing."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report

from tests.one_inspection import inspect, patients


def _statistics(frame: pd.DataFrame, key: str) -> dict[str, str | bytes]:
    """What an analyst commonly writes: groups' figures, a summary, models and their quality."""
    groups, features, target = frame.groupby(key), frame.drop(columns=key), frame[key].astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(max_iter=100).fit(features, target)
    forest = RandomForestClassifier(10, random_state=0).fit(features, target)
    report = classification_report(target, model.predict(features), output_dict=True)
    centres = KMeans(3, n_init=1, random_state=0).fit(features).cluster_centers_
    return {
        "means.csv": groups.mean().to_csv(),
        "rounded.csv": groups.mean().round(2).reset_index().to_csv(),
        "levels.csv": groups.agg(["mean", "std", "count"]).iloc[:, :12].to_csv(),
        "medians.csv": groups.median().to_csv(),
        "medians.json": groups.median().to_json(),
        "median.json": features.median().to_json(),
        "summary.csv": frame.describe().iloc[:, :8].to_csv(),
        "quantiles.csv": features.iloc[:, :8].quantile([0.1, 0.5, 0.9]).to_csv(),
        "correlations.csv": frame.iloc[:, :8].corr().round(3).to_csv(),
        "sizes.json": target.value_counts().to_json(),
        "sizes.csv": target.value_counts().to_csv(),
        "model.json": json.dumps({"coefficients": model.coef_[0].tolist(), "accuracy": 0.93, "n": len(frame)}),
        "weights.safetensors": save({"weight": model.coef_[0], "bias": model.intercept_}),
        "importance.csv": pd.Series(forest.feature_importances_, features.columns, name="importance").to_csv(),
        "report.json": json.dumps(report),
        "centres.csv": pd.DataFrame(centres, columns=features.columns).iloc[:, :8].to_csv(index=False),
        "stdout.txt": f"loading\n{groups.mean().iloc[:, :6].to_string()}\n" + "epoch 3 loss 0.2133\n" * 10,
    }


def _diabetes() -> pd.DataFrame:
    return load_diabetes(as_frame=True, scaled=False).frame


@pytest.mark.parametrize(
    ("frame", "key"),
    [
        (patients().drop(columns=["patient", "sex", "region"]), "target"),
        (load_iris(as_frame=True).frame, "target"),
        (load_wine(as_frame=True).frame, "target"),
        (_diabetes(), "sex"),
        (load_digits(as_frame=True).frame.iloc[:, [3, 4, 5, 11, 12, 13, 64]], "target"),
    ],
    ids=["breast-cancer", "iris", "wine", "diabetes", "digits"],
)
def test_statistics_of_real_data_are_clean(tmp_path, frame, key):
    for name, content in _statistics(frame, key).items():
        findings = inspect(tmp_path / name, {name: content}, {"data.csv": frame})
        assert findings.clean, (name, [finding.sentence for finding in findings.found])


def test_one_number_is_clean_and_says_nothing(tmp_path):
    outputs = {"result.json": '{"accuracy": 0.93}', "stdout.txt": "", "stderr.txt": ""}
    findings = inspect(tmp_path, outputs, {"data.csv": patients()}, unit_column="patient")
    assert findings.clean
    assert findings.found == ()
    assert findings.inspected == tuple(outputs)


def test_medians_by_three_keys_of_many_records_are_no_records(tmp_path):
    """Medians of whole numbers stand in the data, often several in one record: chance explains it."""
    random = np.random.default_rng(1)
    size = 20_000
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 98, size),
            "sex": random.choice(["f", "m"], size),
            "region": random.choice(["north", "south", "east", "west"], size),
            "smoker": random.integers(0, 2, size),
            "pressure": random.normal(130, 20, size).round(1),
            "visits": random.poisson(3, size),
        }
    )
    medians = frame.groupby(["sex", "region", "smoker"]).median().reset_index()
    means = frame.groupby(["age", "sex"]).agg(pressure=("pressure", "mean"), n=("pressure", "size")).reset_index()
    outputs = {"medians.csv": medians.to_csv(index=False), "means.csv": means.to_csv()}
    findings = inspect(tmp_path, outputs, {"data.csv": frame})
    assert findings.clean, [finding.sentence for finding in findings.found]
