"""PySyft's quick start and larger jobs, with nothing changed but the login line, across real processes."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from tests.system.pysyft_scene import ADA, MOCK_ROWS, OWNER, PySyftScene


def test_the_quick_start(pysyft: PySyftScene) -> None:
    (mock,) = pysyft.ada.datasets.get("tumours", datasite=OWNER).mock_files
    assert len(pd.read_csv(mock)) == MOCK_ROWS
    pysyft.submit("analysis.py", "quick start")
    job = pysyft.owner.jobs["quick start"]
    assert (job.submitted_by, job.status) == (ADA, "pending")
    assert "resolve_dataset_file_path" in job.code
    pysyft.approve_and_process("quick start")
    outputs = pysyft.outputs("quick start")
    assert {name: json.loads(content) for name, content in outputs.items()} == {
        "result.json": {"rows": len(pysyft.table()), "columns": 31}
    }
    assert "No stdout" in str(pysyft.ada.jobs["quick start"].stdout), "logs were not shared"


def test_a_folder_with_an_entry_point_and_an_output_that_is_no_text(pysyft: PySyftScene) -> None:
    pysyft.submit("survey", "survey", entrypoint="start.py", dependencies=["numpy", "pandas>=2"])
    with pytest.warns(UserWarning, match="are held"):
        pysyft.approve_and_process("survey")
    job = pysyft.owner.jobs["survey"]
    job.share_logs([job.submitted_by])
    with np.load(io.BytesIO(pysyft.outputs("survey")["histogram.npz"])) as arrays:
        assert arrays["counts"].sum() == len(pysyft.table())


def test_a_pandas_group_by(pysyft: PySyftScene) -> None:
    pysyft.submit("group_by.py", "means by group")
    pysyft.approve_and_process("means by group")
    table = pd.read_csv(io.BytesIO(pysyft.outputs("means by group")["means.csv"]), index_col="malignant")
    expected = pysyft.table().groupby("malignant")
    assert list(table["patients"]) == list(expected.size())
    assert list(table["mean area mean"]) == list(expected["mean area"].mean().round(2))


def test_a_matplotlib_figure(pysyft: PySyftScene) -> None:
    pysyft.submit("figure.py", "figure")
    with pytest.warns(UserWarning, match="are held"):
        pysyft.approve_and_process("figure")
    job = pysyft.owner.jobs["figure"]
    job.share_outputs([job.submitted_by])
    assert pysyft.outputs("figure")["radius.png"].startswith(b"\x89PNG")


def test_a_scikit_learn_model(pysyft: PySyftScene) -> None:
    pysyft.submit("model.py", "model")
    pysyft.owner.jobs["model"].approve()
    pysyft.owner.process_approved_jobs()
    job = pysyft.owner.jobs["model"]
    job.share_outputs([job.submitted_by])
    outputs = pysyft.outputs("model")
    assert np.load(io.BytesIO(outputs["coefficients.npy"])).shape == (1, 30)
    assert json.loads(outputs["score.json"])["accuracy"] > 0.9
