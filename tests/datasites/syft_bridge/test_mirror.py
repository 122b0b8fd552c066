"""The picture of the database that PySyft is shown, beyond what it shows of each job."""

from pathlib import Path

import pytest

from datasites.syft_bridge.mirror import Mirror
from tests.one_job import new_job_scene


def test_outputs_that_are_kept_no_more_are_no_defect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = new_job_scene(tmp_path)
    job = jobs.release(jobs.ran())
    Mirror(jobs.scene.site).refresh()
    jobs.tell()
    jobs.scene.clock.seconds = job.terms.expires_at
    jobs.worker.tell_next()
    assert jobs.job(job.digest).outputs_file is None
    capsys.readouterr()
    Mirror(jobs.scene.site).refresh()  # as after a new start
    assert capsys.readouterr() == ("", "")
    assert list(jobs.scene.site.home.syft_box.rglob("outputs/result.json")), "what was shown stays"
