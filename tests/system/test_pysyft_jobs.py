"""PySyft's quick start and larger jobs, with nothing changed but the login line, across real processes."""

import io
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from tests.system.pysyft_scene import ADA, MOCK_ROWS, OWNER, PySyftScene, open_pysyft_scene
from tests.system.waiting import eventually


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PySyftScene]:
    """Both sessions, acquainted, with one data set offered to everybody."""
    with open_pysyft_scene(tmp_path_factory.mktemp("pysyft")) as opened:
        opened.owner.create_dataset(
            name="tumours",
            mock_path=opened.mock,
            private_path=opened.private,
            summary="Breast tumours under the microscope.",
            users="any",
        )
        opened.ada.add_peer(OWNER)
        eventually(lambda: ADA in [it.email for it in opened.owner.peers], "ada's request")
        opened.owner.approve_peer_request(ADA)
        eventually(lambda: [it.is_approved for it in opened.ada.peers] == [True], "anna's acceptance")
        eventually(lambda: [it.name for it in opened.ada.datasets] == ["tumours"], "the data set")
        yield opened


def test_the_quick_start(scene: PySyftScene) -> None:
    (mock,) = scene.ada.datasets.get("tumours", datasite=OWNER).mock_files
    assert len(pd.read_csv(mock)) == MOCK_ROWS
    scene.submit("analysis.py", "quick start")
    job = scene.owner.jobs["quick start"]
    assert (job.submitted_by, job.status) == (ADA, "pending")
    assert "resolve_dataset_file_path" in job.code
    scene.approve_and_process("quick start")
    outputs = scene.outputs("quick start")
    assert {name: json.loads(content) for name, content in outputs.items()} == {
        "result.json": {"rows": len(scene.table()), "columns": 31}
    }
    assert "No stdout" in str(scene.ada.jobs["quick start"].stdout), "logs were not shared"


def test_a_folder_with_an_entry_point_and_an_output_that_is_no_text(scene: PySyftScene) -> None:
    scene.submit("survey", "survey", entrypoint="start.py", dependencies=["numpy", "pandas>=2"])
    with pytest.warns(UserWarning, match="are held"):
        scene.approve_and_process("survey")
    job = scene.owner.jobs["survey"]
    job.share_logs([job.submitted_by])
    with np.load(io.BytesIO(scene.outputs("survey")["histogram.npz"])) as arrays:
        assert arrays["counts"].sum() == len(scene.table())


def test_a_pandas_group_by(scene: PySyftScene) -> None:
    scene.submit("group_by.py", "means by group")
    scene.approve_and_process("means by group")
    table = pd.read_csv(io.BytesIO(scene.outputs("means by group")["means.csv"]), index_col="malignant")
    expected = scene.table().groupby("malignant")
    assert list(table["patients"]) == list(expected.size())
    assert list(table["mean area mean"]) == list(expected["mean area"].mean().round(2))


def test_a_matplotlib_figure(scene: PySyftScene) -> None:
    scene.submit("figure.py", "figure")
    with pytest.warns(UserWarning, match="are held"):
        scene.approve_and_process("figure")
    job = scene.owner.jobs["figure"]
    job.share_outputs([job.submitted_by])
    assert scene.outputs("figure")["radius.png"].startswith(b"\x89PNG")


def test_a_scikit_learn_model(scene: PySyftScene) -> None:
    scene.submit("model.py", "model")
    scene.owner.jobs["model"].approve()
    scene.owner.process_approved_jobs()
    job = scene.owner.jobs["model"]
    job.share_outputs([job.submitted_by])
    outputs = scene.outputs("model")
    assert np.load(io.BytesIO(outputs["coefficients.npy"])).shape == (1, 30)
    assert json.loads(outputs["score.json"])["accuracy"] > 0.9
