"""What PySyft's users could do to each other, tried across real processes: nothing is decided, run or leaked by it."""

import json
from pathlib import Path

import pytest

from tests.system.pysyft_scene import PySyftScene

COUNT = 'import json\njson.dump({"honest": true}, open("outputs/result.json", "w"))\n'.replace("true", "True")
SWAPPED = COUNT.replace("honest", "swapped")
SECRET = "PRIVATE-OF-NOBODY-ELSE-5b1c"


def script(folder: Path, code: str) -> str:
    path = folder / "analysis.py"
    path.write_text(code)
    return str(path)


def test_a_researcher_decides_on_nothing(pysyft: PySyftScene, tmp_path: Path) -> None:
    """Upstream takes the state from a file that the researcher can write, and the approver's name from a message."""
    pysyft.submit(script(tmp_path, COUNT), "own approval")
    job = pysyft.ada.jobs["own approval"]
    with pytest.raises(PermissionError):
        job.approve()
    state = job.job_review_path / "state.yaml"
    state.write_text(state.read_text().replace("pending", "approved"))
    pysyft.ada.sync()
    pysyft.owner.process_approved_jobs(share_outputs_with_submitter=True)
    assert pysyft.owner.jobs["own approval"].status == "pending"


def test_what_was_received_runs_whatever_is_written_over_it(pysyft: PySyftScene, tmp_path: Path) -> None:
    """Upstream runs whatever lies in the folder at that moment."""
    pysyft.submit(script(tmp_path, COUNT), "swapped")
    for client in (pysyft.ada, pysyft.owner):
        shown = client.jobs["swapped"].code_dir / "analysis.py"
        shown.chmod(0o600)
        shown.write_text(SWAPPED)
        run = client.jobs["swapped"].job_submission_path / "run.sh"
        run.chmod(0o700)
        run.write_text("#!/bin/sh\ntouch outputs/owned\n")
    pysyft.approve_and_process("swapped")
    assert json.loads(pysyft.outputs("swapped")["result.json"]) == {"honest": True}


def test_a_job_sees_no_data_set_that_its_researcher_is_not_shown(pysyft: PySyftScene, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(SECRET)
    pysyft.owner.create_dataset("secret", pysyft.mock, secret, users=["eve@lab.example"])
    assert "secret" not in [it.name for it in pysyft.ada.datasets]
    code = 'import syft as sy\nopen("outputs/a.txt", "w").write(sy.resolve_dataset_file_path("secret").read_text())\n'
    pysyft.submit(script(tmp_path, code), "data of another")
    pysyft.owner.jobs["data of another"].approve()
    pysyft.owner.process_approved_jobs()
    assert pysyft.owner.jobs["data of another"].status == "failed"


def test_no_private_byte_lies_in_either_box(pysyft: PySyftScene) -> None:
    rows = pysyft.private.read_text().splitlines()[1:4]
    boxes = (pysyft.ada.syftbox_folder, pysyft.owner.syftbox_folder)
    content = b"".join(path.read_bytes() for box in boxes for path in box.rglob("*") if path.is_file())
    assert b"mean radius" in content
    for row in [*rows, SECRET]:
        assert row.encode() not in content
